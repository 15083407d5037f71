"""Weights on their integer grid, with straight-through gradients (docs/numerics.md).

Forward, a value is replaced by the number its code stands for. Backward, rounding counts as the
identity (straight-through, Bengio et al., arXiv 1308.3432). Options of `QuantConfig`:

- `clip_gradient`: values that lie beyond the largest code get no gradient (the mask of PACT, arXiv
  1805.06085). A scale from the maximum clips nothing, so this matters with `learned_clip` alone.
- `scale_gradient`: the scale max|w|/L is not taken for a constant; d(value)/d(scale) = code -
  w/scale reaches the largest weight of each channel with factor sign(w)/L.
- `learned_clip`: the scale is clip * max|w|/L, and the same derivative trains the factor `clip`;
  beyond the largest code it is the code itself (LSQ, arXiv 1902.08153).
"""

import tensorflow as tf

from int4_conformer.quant.numerics.straight_through import (
    Gradient,
    StraightThrough,
    straight_through,
    with_gradient,
)
from int4_conformer.quant.numerics.tensor import QTensor, quantize, spread
from int4_conformer.quant.spec.quant_config import QuantConfig, levels


def quantize_weight(
    weight: tf.Tensor,
    config: QuantConfig,
    axis: int = 0,
    *,
    clip: tf.Tensor | None = None,
    offset: tf.Tensor | None = None,
) -> QTensor:
    """The codes of a weight matrix by a config's width and granularity.

    Args:
        weight: float [in, out], or [out, in] with `axis` 1.
        config: its `weight_bits` is not None.
        axis: which axis the product sums over.
        clip: factor of the scales, or None; of their shape.
        offset: noise in units of the scale, of the shape of the weight, or None.
    """
    axes = (0, 1) if config.granularity == "tensor" else (axis,)
    return quantize(weight, config.weight_bits, axes, block=config.block, clip=clip, offset=offset)


def straight_through_weight(
    weight: tf.Tensor,
    config: QuantConfig,
    axis: int = 0,
    *,
    clip: tf.Tensor | None = None,
    offset: tf.Tensor | None = None,
) -> StraightThrough:
    """`quantize_weight` with the gradients that the config asks for, to `weight` and to `clip`."""
    weight = tf.convert_to_tensor(weight)
    tensor = quantize_weight(weight, config, axis, clip=clip, offset=offset)

    if clip is None and not config.scale_gradient:
        return StraightThrough(tensor=tensor, value=straight_through(weight, tensor.dequantize()))

    def value(
        weight: tf.Tensor, clip: tf.Tensor, codes: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, Gradient]:
        held = QTensor(codes=codes, scale=scale, bits=tensor.bits)
        return held.dequantize(), lambda dy: _gradients(dy, weight, clip, held, config)

    factor = tf.ones_like(tensor.scale) if clip is None else tf.convert_to_tensor(clip)
    value = with_gradient(value, [weight, factor], [tensor.codes, tensor.scale])
    return StraightThrough(tensor=tensor, value=value)


def _gradients(
    dy: tf.Tensor, weight: tf.Tensor, clip: tf.Tensor, tensor: QTensor, config: QuantConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of weight and clip, from that of the values on the grid."""
    if not (config.learned_clip or config.scale_gradient):
        return dy, tf.zeros_like(clip)
    limit, shape = levels(tensor.bits), tensor.scale.shape
    scaled = weight / spread(tensor.scale, weight.shape)
    inside = tf.abs(scaled) <= limit + 0.5
    kept = tf.where(inside, scaled, 0.0) if config.clip_gradient else scaled
    dw = tf.where(inside, dy, 0.0) if config.clip_gradient else dy
    d_scale = _sum_to(dy * (tf.cast(tensor.codes, tf.float32) - kept), shape)
    if config.scale_gradient:
        magnitude = tf.abs(weight)
        largest = _reduce_to(magnitude, shape, tf.reduce_max)
        is_largest = tf.cast(magnitude == spread(largest, weight.shape), tf.float32)
        # Equal maxima share the gradient, as reduce_max's own derivative does.
        share = d_scale * clip / limit / _sum_to(is_largest, shape)
        dw += spread(share, weight.shape) * is_largest * tf.sign(weight)
    return dw, d_scale * tensor.scale / clip


def _sum_to(x: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    return _reduce_to(x, shape, tf.reduce_sum)


def _reduce_to(x: tf.Tensor, shape: tf.TensorShape, reduce) -> tf.Tensor:
    """Reduces all elements that share a scale, so that the result has the shape of the scales."""
    split = [part for size, n in zip(x.shape, shape, strict=True) for part in (n, size // n)]
    return reduce(tf.reshape(x, split), axis=range(1, len(split), 2))
