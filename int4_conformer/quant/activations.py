"""Activations quantized per row at run time: Contract A."""

import dataclasses

import tensorflow as tf

from int4_conformer.quant.config import Activation, levels
from int4_conformer.quant.tensor import quantize, round_to_codes

# A row whose values span less than this would need an inverse scale beyond float32.
_SMALLEST_RANGE = 255 / 3.0e38


@dataclasses.dataclass(frozen=True, kw_only=True)
class QRows:
    """Rows of integers, each with a scale and, if asymmetric, a zero point of its own.

    Invariants:
        codes, zero_point in [-128, 127]
        dequantize() == (codes - zero_point) * scale
        a zero of the input is exactly a zero of `dequantize()`
    """

    # int8 [rows, width].
    codes: tf.Tensor
    # float32 [rows, 1].
    scale: tf.Tensor
    # int32 [rows, 1], or None where every zero point is 0.
    zero_point: tf.Tensor | None

    def dequantize(self) -> tf.Tensor:
        """float32 [rows, width]."""
        codes = tf.cast(self.codes, tf.float32)
        if self.zero_point is not None:
            codes -= tf.cast(self.zero_point, tf.float32)
        return codes * self.scale


def quantize_rows(x: tf.Tensor, scheme: Activation) -> QRows:
    """Quantizes each row over its last axis.

    Args:
        x: float32 [rows, width].
        scheme: "int8", "int4" (symmetric) or "int8_asymmetric".
    """
    if scheme == "int8_asymmetric":
        return _quantize_asymmetric(x)
    tensor = quantize(x, bits={"int8": 8, "int4": 4}[scheme], axes=(-1,))
    return QRows(codes=tensor.codes, scale=tensor.scale, zero_point=None)


def _quantize_asymmetric(x: tf.Tensor) -> QRows:
    """The integers of XNNPACK's qd8 kernels, operation for operation.

    The zero point is rounded from the end of the range with the smaller error, so that zero and
    both ends are representable.
    """
    low = tf.minimum(tf.reduce_min(x, axis=-1, keepdims=True), 0.0)
    high = tf.maximum(tf.reduce_max(x, axis=-1, keepdims=True), 0.0)
    span = high - low
    flat = span < _SMALLEST_RANGE
    inverse = tf.where(flat, tf.ones_like(span), 255.0 / span)
    # 1 / inverse; of a plain one Grappler makes a `Reciprocal`, which may be one bit off.
    scale = tf.where(flat, inverse, tf.ones_like(span)) / inverse
    low, high = low * inverse, high * inverse
    zero_point = tf.where((-128.0 + low) + (127.0 + high) > 0, -128.0 - low, 127.0 - high)
    zero_point = tf.clip_by_value(tf.round(zero_point), -128.0, 127.0)
    codes = round_to_codes(tf.round(x * inverse) + zero_point, -128, levels(8))
    return QRows(codes=codes, scale=scale, zero_point=tf.cast(zero_point, tf.int32))
