"""Static int8 activations: ranges learned in training, integers in and integers out.

For accelerators that run whole integer models. Each layer's input has one scale and zero point, as
has the product with its bias; both come from running averages of the batches' ends (Jacob et al.,
arXiv 1712.05877, section 3.1). With float32 arithmetic in this order the integers are those of
XNNPACK's qs8-qc4w kernels:

    x_codes = clip(round(x * (1 / s_x)) + z_x)
    sums    = sum (x_codes - z_x) w_codes + round(bias / (s_x * s_w))
    y_codes = clip(round(sums * ((s_x * s_w) / s_y)) + z_y)
    y       = (y_codes - z_y) * s_y

Backward, rounding counts as the identity, and values outside a range get no gradient.
"""

import tensorflow as tf

from int4_conformer.quant.context import checked
from int4_conformer.quant.numerics.activations import zero_point_of
from int4_conformer.quant.numerics.straight_through import StraightThrough, straight_through
from int4_conformer.quant.numerics.tensor import QTensor, round_to_codes
from int4_conformer.quant.products.base import StaticRanges
from int4_conformer.quant.products.matmul import float_matmul, int_matmul, portable_backend
from int4_conformer.quant.spec.quant_config import QuantConfig, levels

# A range that spans less counts as empty, as before the first batch.
_SMALLEST_RANGE = 1e-30


def static_parameters(range_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale and zero point of a range.

    Args:
        range_: float32 [2]: lowest, highest; widened to hold zero.

    Returns:
        float32 [1, 1] and float32 [1, 1] that holds a whole number in -128..127.
    """
    low, high = tf.split(tf.reshape(range_, [1, 2]), 2, axis=1)
    low, high = tf.minimum(low, 0.0), tf.maximum(high, 0.0)
    span = high - low
    flat = span < _SMALLEST_RANGE
    # The divisor depends on the data, so that no compiler multiplies by its rounded reciprocal.
    scale = tf.where(flat, 1.0, span / tf.where(flat, 1.0, 255.0))
    return scale, zero_point_of(low / scale, high / scale)


def quantize_static(x: tf.Tensor, range_: tf.Tensor) -> QTensor:
    """Quantizes to 8 bits by a range that is known beforehand.

    Args:
        x: float32 [rows, width].
        range_: float32 [2].

    Returns:
        codes [rows, width], scale and zero point [1, 1].
    """
    scale, zero_point = static_parameters(range_)
    # 1 / scale; of a plain one Grappler makes a `Reciprocal`, which may be one bit off.
    inverse = tf.where(scale == 1.0, scale, tf.ones_like(scale)) / scale
    codes = round_to_codes(tf.round(checked(x) * inverse) + zero_point, -128, 127)
    return QTensor(
        codes=codes,
        scale=scale,
        bits=8,
        zero_point=tf.cast(zero_point, tf.int32),
    )


def static_product(
    x: tf.Tensor,
    weight: StraightThrough,
    axis: int,
    bias: tf.Tensor | None,
    config: QuantConfig,
    ranges: StaticRanges,
) -> tf.Tensor:
    """The product of int8 rows and a quantized matrix, and its bias, on the output's int8 grid.

    In training, the running averages of the ranges move first, and then decide.

    Args:
        x: float32 [rows, in].
        weight: [in, out], or [out, in] with `axis` 1; one scale per output, or one for all.
        bias: float32 [out] or None.
        ranges: of the layer.

    Returns:
        float32 [rows, out].
    """
    rows = straight_through_static(x, _observed(ranges.input, x, ranges.decay), config)
    sums, step = _integer_sums(rows.tensor, weight.tensor, axis, config)
    exact = tf.cast(sums, tf.float32) * step
    output_range = _observed(ranges.output, exact if bias is None else exact + bias, ranges.decay)
    hard = _requantize(sums, step, bias, output_range).dequantize()
    soft = float_matmul(rows.value, weight.value, axis, config)
    soft = straight_through_static(soft if bias is None else soft + bias, output_range, config)
    return straight_through(soft.value, hard)


def straight_through_static(
    x: tf.Tensor, range_: tf.Tensor, config: QuantConfig
) -> StraightThrough:
    """`quantize_static` with a gradient to `x` where it lies in the range."""
    tensor = quantize_static(x, range_)
    if config.clip_gradient:
        low, high = tf.minimum(range_[0], 0.0), tf.maximum(range_[1], 0.0)
        # The value of `x` does not matter here, only which parts of it have a gradient.
        x = tf.where((low <= x) & (x <= high), x, tf.stop_gradient(x))
    return StraightThrough(tensor=tensor, value=straight_through(x, tensor.dequantize()))


def deployed_static_product(
    x: tf.Tensor,
    weight: QTensor,
    axis: int,
    bias: tf.Tensor | None,
    ranges: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """`static_product` with fixed ranges of input and output, for a graph that needs no XLA."""
    backend = portable_backend(weight.codes.shape[axis])
    config = QuantConfig(weight_bits=weight.bits, activation="int8_static", backend=backend)
    rows = quantize_static(x, ranges[0])
    sums, step = _integer_sums(rows, weight, axis, config)
    return _requantize(sums, step, bias, ranges[1]).dequantize()


def _integer_sums(
    x: QTensor, weight: QTensor, axis: int, config: QuantConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """int32 [rows, out] sums without bias, and float32 [1, out]: what a step of them stands for."""
    codes = tf.transpose(weight.codes) if axis == 1 else weight.codes
    sums = int_matmul(x.codes, codes, b_limit=levels(weight.bits), backend=config.backend)
    sums -= x.zero_point * tf.reduce_sum(tf.cast(codes, tf.int32), axis=0, keepdims=True)
    scale = tf.broadcast_to(tf.reshape(weight.scale, [1, -1]), [1, codes.shape[1]])
    return sums, x.scale * scale


def _requantize(
    sums: tf.Tensor, step: tf.Tensor, bias: tf.Tensor | None, output_range: tf.Tensor
) -> QTensor:
    """Sums and bias on the output's grid."""
    scale, zero_point = static_parameters(output_range)
    if bias is not None:
        sums += tf.cast(tf.round(bias / step), tf.int32)
    scaled = tf.cast(sums, tf.float32) * (step / scale)
    codes = round_to_codes(tf.round(scaled) + zero_point, -128, 127)
    return QTensor(codes=codes, scale=scale, bits=8, zero_point=tf.cast(zero_point, tf.int32))


def _observed(range_: tf.Variable, x: tf.Tensor, decay: float | None) -> tf.Tensor:
    """The range after this batch: a running average in training, as it is otherwise."""
    held = tf.convert_to_tensor(range_)
    if decay is None:
        return held
    x = tf.stop_gradient(x)
    batch = tf.stack([tf.minimum(tf.reduce_min(x), 0.0), tf.maximum(tf.reduce_max(x), 0.0)])
    # An empty range has seen nothing yet.
    moved = tf.where(held[0] == held[1], batch, decay * held + (1 - decay) * batch)
    range_.assign(moved)
    return moved
