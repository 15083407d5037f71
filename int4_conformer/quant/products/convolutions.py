"""Convolutions as matrix products: of all operators, FULLY_CONNECTED alone has int4 kernels.

A patch is what lies under the kernel at one place. Patches are laid out as rows [taps * in], taps
in row-major order, and a kernel [*taps, in, out] is the matrix [taps * in, out]; dynamic
activations are then quantized per patch. Depthwise convolutions are no matrix product and stay
float.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.products.base import QuantState, Weight
from int4_conformer.quant.products.depthwise import native_depthwise_conv
from int4_conformer.quant.products.dot import matrix_product
from int4_conformer.quant.products.trained import products
from int4_conformer.quant.spec.quant_config import QuantConfig

# Zeros are added nowhere, around the input so that strides alone shorten it, or before it so that
# no output depends on later inputs.
Padding = Literal["valid", "same", "causal"]


def conv1d(
    x: tf.Tensor,
    kernel: tf.Tensor,
    config: QuantConfig,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    bias: tf.Tensor | None = None,
    state: QuantState | None = None,
) -> tf.Tensor:
    """Convolution over time.

    Args:
        x: float [batch, time, in].
        kernel: float [taps, in, out], quantized with a scale per output channel, tensor or block
            of the patch.
        stride: frames from one patch to the next.
        padding: "valid", "same" or "causal".
        dilation: frames from one tap to the next.
        bias: float [out] or None.
        state: as in `dot`, for the kernel as the matrix [taps * in, out].

    Returns:
        float32 [batch, time', out].

    Raises:
        UserError: the padding has another name.
    """
    patches = _patches(x, kernel.shape[:1], [stride], padding, [dilation])
    return _product(patches, kernel, config, bias, state)


def conv2d(
    x: tf.Tensor,
    kernel: tf.Tensor,
    config: QuantConfig,
    *,
    strides: Sequence[int] = (1, 1),
    padding: Padding = "valid",
    dilations: Sequence[int] = (1, 1),
    bias: tf.Tensor | None = None,
    state: QuantState | None = None,
) -> tf.Tensor:
    """Convolution over two axes, as `conv1d` over one.

    Args:
        x: float [batch, height, width, in].
        kernel: float [taps, taps, in, out].

    Returns:
        float32 [batch, height', width', out].
    """
    patches = _patches(x, kernel.shape[:2], strides, padding, dilations)
    return _product(patches, kernel, config, bias, state)


def depthwise_conv1d(
    x: tf.Tensor,
    kernel: tf.Tensor,
    config: QuantConfig,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    bias: tf.Tensor | None = None,
    state: QuantState | None = None,
) -> tf.Tensor:
    """Convolution over time of each channel by itself, in float with a quantized kernel.

    Integer activations would need one scale for a channel's taps at each place, or one for the
    whole utterance, which no stream knows; neither is in the kernels of a runtime.

    Args:
        x: float [batch, time, channels].
        kernel: float [taps, channels, multiplier], quantized with a scale per output channel, or
            one for all.
        config: its activation scheme is "float".
        bias: float [channels * multiplier] or None.
        state: as in `dot`, for the kernel as the matrix [taps, channels * multiplier].

    Returns:
        float32 [batch, time', channels * multiplier].

    Raises:
        UserError: the config has integer activations, or the padding has another name.
    """
    if config.activation != "float":
        raise UserError(
            "Depthwise convolutions take float activations only, since no runtime multiplies them "
            "in integers; give the layer a scheme of weights alone, such as w8c, or float. "
            f"Received: {config.name}"
        )
    x = _padded(tf.cast(x, tf.float32), kernel.shape[:1], [stride], padding, [dilation])
    values = _depthwise_kernel(kernel, config, state or QuantState())
    y = depthwise_valid(x, values, stride=stride, dilation=dilation)
    return y if bias is None else y + bias


def depthwise_valid(
    x: tf.Tensor, kernel: tf.Tensor, *, stride: int = 1, dilation: int = 1
) -> tf.Tensor:
    """Convolves each channel with its own kernels, in float and without padding.

    Args:
        x: float [batch, time, channels].
        kernel: float [taps, channels, multiplier].
        stride: frames from one output to the next.
        dilation: frames from one tap to the next.

    Returns:
        float [batch, time', channels * multiplier].
    """
    if stride == dilation == kernel.shape[2] == 1:
        return products().depthwise_conv(x, tf.convert_to_tensor(kernel)[..., 0])
    return native_depthwise_conv(x, kernel, stride=stride, dilation=dilation)


def _product(
    patches: tf.Tensor,
    kernel: tf.Tensor,
    config: QuantConfig,
    bias: tf.Tensor | None,
    state: QuantState | None,
) -> tf.Tensor:
    weight = Weight(variable=kernel, to_matrix=_channels_last_matrix, bias=bias)
    return matrix_product(patches, weight, config, state)


def _channels_last_matrix(kernel: tf.Tensor) -> tf.Tensor:
    """[..., out] -> [everything else, out]."""
    return tf.reshape(tf.convert_to_tensor(kernel), [-1, kernel.shape[-1]])


def _taps_first_matrix(kernel: tf.Tensor) -> tf.Tensor:
    """[taps, channels, multiplier] -> [taps, channels * multiplier]."""
    return tf.reshape(tf.convert_to_tensor(kernel), [kernel.shape[0], -1])


def _depthwise_kernel(kernel: tf.Tensor, config: QuantConfig, state: QuantState) -> tf.Tensor:
    """The values [taps, channels, multiplier] that a depthwise convolution multiplies by."""
    if config.weight_bits is None:
        return tf.convert_to_tensor(kernel)
    weight = Weight(variable=kernel, to_matrix=_taps_first_matrix)
    return tf.reshape(products().depthwise_kernel(weight, config, state), kernel.shape)


def _patches(
    x: tf.Tensor,
    taps: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int],
) -> tf.Tensor:
    """float32 [batch, *sizes, channels] -> [batch, *sizes', taps * channels].

    By slices: the op that extracts patches exists in no TFLite runtime.
    """
    x = _padded(tf.cast(x, tf.float32), taps, strides, padding, dilations)
    slices = []
    for tap in itertools.product(*map(range, taps)):
        # Counted from the end, so that sizes need not be known.
        places = [
            slice(index * dilation, (index + 1 - count) * dilation or None, stride)
            for index, count, stride, dilation in zip(tap, taps, strides, dilations, strict=True)
        ]
        slices.append(x[(slice(None), *places)])
    return tf.concat(slices, axis=-1)


def _padded(
    x: tf.Tensor,
    taps: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int],
) -> tf.Tensor:
    """[batch, *sizes, channels] with the zeros that TensorFlow's convolutions add."""
    if padding not in ("valid", "same", "causal"):
        raise UserError(f"`padding` must be valid, same or causal. Received: padding={padding!r}")
    amounts = []
    for axis, (count, stride, dilation) in enumerate(
        zip(taps, strides, dilations, strict=True), start=1
    ):
        # How much shorter than the input the output is.
        total = (count - 1) * dilation
        if padding == "same" and stride > 1:
            size = tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]
            # Of what strides skip at the end, nothing needs padding.
            total = tf.maximum(total - (size - 1) % stride, 0)
        before = {"valid": 0, "same": total // 2, "causal": total}[padding]
        amounts.append([before, 0 if padding == "valid" else total - before])
    return tf.pad(x, [[0, 0], *amounts, [0, 0]])
