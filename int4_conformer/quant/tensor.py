"""Symmetric integer tensors: Contract W, [0051]-[0055] of US20230298569A1."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.quant.config import levels


@dataclasses.dataclass(frozen=True, kw_only=True)
class QTensor:
    """Integer codes and their scales.

    Invariants, with L = 2^(bits-1) - 1:
        -L <= codes <= L                       (-2^(bits-1) never occurs)
        scale > 0, scale.shape broadcasts to codes.shape
        dequantize() == codes * scale
        quantize(dequantize(), bits, axes) has the same codes
    """

    # int8 [...]: the shape of the tensor that was quantized.
    codes: tf.Tensor
    # float32 [...]: 1 along every axis that shares a scale.
    scale: tf.Tensor
    # Width of the codes.
    bits: int

    def dequantize(self) -> tf.Tensor:
        """float32 of the shape of `codes`: the numbers that the codes stand for."""
        return tf.cast(self.codes, tf.float32) * self.scale


def round_to_codes(scaled: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Rounds half to even and clips to [low, high]: the one place where floats become integers.

    Args:
        scaled: float32 of any shape, in units of the scale.

    Returns:
        int8 of the same shape.
    """
    return tf.cast(tf.clip_by_value(tf.round(scaled), low, high), tf.int8)


def quantize(x: tf.Tensor, bits: int = 4, axes: Sequence[int] = (0,)) -> QTensor:
    """Quantizes symmetrically, with one scale for all elements along `axes`.

        scale = reduce_max(|x|, axes) / (2^(bits-1) - 1), 1 where that is zero
        codes = clip(round_half_even(x / scale))

    The axes may stand anywhere: no transpose is needed (the patent, [0053]).

    Args:
        x: float tensor or array of any shape.
        bits: width of the codes, 2..8.
        axes: axes that share a scale; for a kernel [in, out], (0,) gives one scale per output.

    Raises:
        UserError: `bits` is out of range.
    """
    limit = levels(bits)
    x = tf.cast(x, tf.float32)
    largest = tf.reduce_max(tf.abs(x), axis=tuple(axes), keepdims=True)
    # The divisor depends on the data: by a constant, Grappler and XLA would multiply by its rounded
    # reciprocal, and half of all scales would be one bit off those of an eager call.
    scale = largest / tf.where(largest == 0, 1.0, float(limit))
    scale = tf.where(scale == 0, tf.ones_like(scale), scale)
    return QTensor(codes=round_to_codes(x / scale, -limit, limit), scale=scale, bits=bits)
