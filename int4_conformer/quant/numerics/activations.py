"""Activations quantized per row at run time, or in a static range (docs/numerics.md)."""

import tensorflow as tf

from int4_conformer.quant.context import checked
from int4_conformer.quant.numerics.tensor import QTensor, quantize, round_to_codes
from int4_conformer.quant.spec.quant_config import Activation, levels
from int4_conformer.xla import fused

# A row whose values span less than this would need an inverse scale beyond float32.
_SMALLEST_RANGE = 255 / 3.0e38
_LEVELS = 255.0


def quantize_rows(x: tf.Tensor, scheme: Activation) -> QTensor:
    """Quantizes each row over its last axis.

    Args:
        x: float32 [rows, width].
        scheme: "int8_asymmetric", "int8_symmetric" or "int4_symmetric".

    Returns:
        codes [rows, width], scale and zero point [rows, 1].
    """
    bits = 4 if scheme == "int4_symmetric" else 8
    quantizer = _asymmetric if scheme == "int8_asymmetric" else _symmetric
    codes, scale, zero_point = quantizer(x, bits)
    return QTensor(codes=codes, scale=scale, bits=bits, zero_point=zero_point)


@fused
def _symmetric(x: tf.Tensor, bits: int) -> tuple[tf.Tensor, tf.Tensor, None]:
    rows = quantize(x, bits, axes=(-1,))
    return rows.codes, rows.scale, None


@fused
def _asymmetric(x: tf.Tensor, bits: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The integers of XNNPACK's qd8 kernels, operation for operation."""
    x = checked(x)
    inverse, scale, zero_point = _asymmetric_grid(x)
    codes = round_to_codes(tf.round(x * inverse) + zero_point, -128, levels(bits))
    return codes, scale, tf.cast(zero_point, tf.int32)


def _asymmetric_grid(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """float32 [rows, 1]: inverse scale, scale and zero point of each row."""
    low = tf.minimum(tf.reduce_min(x, axis=-1, keepdims=True), 0.0)
    high = tf.maximum(tf.reduce_max(x, axis=-1, keepdims=True), 0.0)
    span = high - low
    flat = span < _SMALLEST_RANGE
    inverse = tf.where(flat, tf.ones_like(span), _LEVELS / span)
    # 1 / inverse; of a plain one Grappler makes a `Reciprocal`, which may be one bit off.
    scale = tf.where(flat, inverse, tf.ones_like(span)) / inverse
    return inverse, scale, zero_point_of(low * inverse, high * inverse)


def centred_rows(x: tf.Tensor, scheme: Activation) -> tuple[tf.Tensor, tf.Tensor, int]:
    """The codes of `quantize_rows` less their zero points, for programs that run op by op, where
    each op is a pass over memory.

    Returns:
        whole numbers, float32 [rows, width]; scale [rows, 1]; the most that the numbers differ from
        zero.
    """
    if scheme != "int8_asymmetric":
        rows = quantize_rows(x, scheme)
        return tf.cast(rows.codes, tf.float32), rows.scale, levels(rows.bits)
    inverse, scale, zero_point = _asymmetric_grid(x)
    centred = tf.minimum(tf.round(x * inverse), 127.0 - zero_point)
    return tf.maximum(centred, -128.0 - zero_point), scale, int(_LEVELS)


def zero_point_of(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """float32 whole numbers, for a range in units of the scale.

    Rounded from the end of the range with the smaller error, so that zero and both ends are
    representable.
    """
    zero_point = tf.where((-128.0 + low) + (127.0 + high) > 0, -128.0 - low, 127.0 - high)
    return tf.clip_by_value(tf.round(zero_point), -128.0, 127.0)
