"""Integer tensors and how floats become integers (docs/numerics.md, weights; [0051]-[0055] of
US20230298569A1)."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.context import checked
from int4_conformer.quant.spec.quant_config import levels

# Scales below this count as zero: smaller values are denormal numbers, which most kernels flush.
_SMALLEST_SCALE = 2.0**-125
# Scales of blocks are stored in 16 bits. From here on, float16 holds every bfloat16 exactly.
_SMALLEST_BLOCK_SCALE = 2.0**-14


@dataclasses.dataclass(frozen=True, kw_only=True)
class QTensor:
    """Integer codes and their scales.

    Invariants, with L = 2^(bits-1) - 1:
        dequantize() == (codes - zero_point) * scale
        scale > 0; along each axis, its size divides that of the codes
        without zero point: -L <= codes <= L, so -2^(bits-1) never occurs, and
            quantize(dequantize()) with the same bits and axes has the same codes
        with zero point: -2^(bits-1) <= codes, zero_point <= L, and dequantize() can be exactly 0
    """

    # int8 [...]: the shape of the tensor that was quantized.
    codes: tf.Tensor
    # float32 [...]: 1 along every axis that shares a scale, the number of blocks along one that
    # is divided into blocks.
    scale: tf.Tensor
    # Width of the codes.
    bits: int
    # int32, of the shape of `scale`; None where every zero point is 0.
    zero_point: tf.Tensor | None = None

    def dequantize(self) -> tf.Tensor:
        """float32 of the shape of `codes`: the numbers that the codes stand for."""
        codes = tf.cast(self.codes, tf.float32)
        if self.zero_point is not None:
            codes -= tf.cast(self.zero_point, tf.float32)
        return codes * spread(self.scale, codes.shape)


def spread(scale: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Repeats the scale of each block, so that the result broadcasts to `shape`."""
    for axis, (size, whole) in enumerate(zip(scale.shape, shape, strict=True)):
        if size not in (1, whole) and None not in (size, whole):
            scale = tf.repeat(scale, whole // size, axis=axis)
    return scale


def round_to_codes(scaled: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Rounds half to even and clips to [low, high]: the one place where floats become integers.

    Args:
        scaled: float32 of any shape, in units of the scale.

    Returns:
        int8 of the same shape.
    """
    return tf.cast(tf.clip_by_value(tf.round(scaled), low, high), tf.int8)


def quantize(
    x: tf.Tensor,
    bits: int = 4,
    axes: Sequence[int] = (0,),
    *,
    block: int | None = None,
    clip: tf.Tensor | None = None,
    offset: tf.Tensor | None = None,
) -> QTensor:
    """Quantizes symmetrically, with one scale for all elements along `axes`.

        scale = reduce_max(|x|, axes) / (2^(bits-1) - 1), 1 where that is zero (below 2^-125)
        codes = clip(round_half_even(x / scale))

    The axes may stand anywhere: no transpose is needed (the patent, [0053]). Scales of blocks are
    rounded to bfloat16, not below 2^-14, as which they are stored.

    Args:
        x: float tensor or array of any shape.
        bits: width of the codes, 2..8.
        axes: axes that share a scale; for a kernel [in, out], (0,) gives one scale per output.
        block: so many successive elements along the one axis in `axes` share a scale, not all.
        clip: factor of the scales, positive, of a shape that broadcasts to theirs.
        offset: added to x / scale before it is rounded, of the shape of `x`: noise.

    Raises:
        UserError: `bits` is out of range, or `block` does not divide the one axis.
    """
    limit = levels(bits)
    x = checked(tf.cast(x, tf.float32))
    shape = x.shape
    if block is not None:
        (axis,) = axes
        axis %= shape.rank
        if shape[axis] is None or shape[axis] % block:
            raise UserError(
                f"Blocks of {block} do not divide axis {axis} of shape {shape.as_list()}; choose a "
                "block that does, or granularity `channel`."
            )
        x = tf.reshape(x, [*shape[:axis], shape[axis] // block, block, *shape[axis + 1 :]])
        axes = (axis + 1,)
    largest = tf.reduce_max(tf.abs(x), axis=tuple(axes), keepdims=True)
    # The divisor depends on the data: by a constant, Grappler and XLA would multiply by its rounded
    # reciprocal, and half of all scales would be one bit off those of an eager call.
    scale = largest / tf.where(largest == 0, 1.0, float(limit))
    scale = tf.where(scale < _SMALLEST_SCALE, tf.ones_like(scale), scale)
    if block is not None:
        scale = tf.squeeze(scale, axes)
        scale = tf.maximum(_round_to_bfloat16(scale), _SMALLEST_BLOCK_SCALE)
    if clip is not None:
        scale *= clip
    if block is not None:
        x = tf.reshape(x, shape)
    scaled = x / spread(scale, shape)
    if offset is not None:
        scaled += offset
    return QTensor(codes=round_to_codes(scaled, -limit, limit), scale=scale, bits=bits)


def _round_to_bfloat16(x: tf.Tensor) -> tf.Tensor:
    """The nearest bfloat16 numbers, half to even, in float32.

    By bits: XLA drops a cast to bfloat16 and back.
    """
    bits = tf.bitcast(x, tf.uint32)
    odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)), 1)
    rounded = tf.bitwise.bitwise_and(bits + (odd + 0x7FFF), tf.constant(0xFFFF0000, tf.uint32))
    return tf.bitcast(rounded, tf.float32)
