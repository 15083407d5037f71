"""The integer product for programs that run without XLA, as on a server: op by op, each a pass over
memory, and with few of them.

Whole numbers are held in float32, exact while every partial sum is below 2^24; accumulators are
those of `integer_product`, and so is what they stand for, to the bit.
"""

import tensorflow as tf

from int4_conformer.quant.numerics.activations import centred_rows
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.products.integer_product import outputs_last
from int4_conformer.quant.products.matmul import exact_float_matmul
from int4_conformer.quant.spec.quant_config import Activation, levels


def portable_product(
    x: tf.Tensor,
    weight: QTensor,
    axis: int,
    activation: Activation,
    bias: tf.Tensor | None = None,
) -> tf.Tensor:
    """float32 [rows, out] of rows [rows, in], quantized here, and a weight [in, out], or [out, in]
    with `axis` 1."""
    rows, x_scale, largest = centred_rows(x, activation)
    codes, scale = outputs_last(weight, axis)
    codes = tf.cast(codes, tf.float32)
    blocks, limit = scale.shape[0], largest * levels(weight.bits)
    if blocks == 1:
        # An identity that Grappler leaves alone: it would multiply the two scales with each other
        # first, and the products of floats differ with their order.
        total = tf.raw_ops.Snapshot(input=_accumulators(rows, codes, limit) * x_scale) * scale
    else:
        total = 0.0
        for part, block, block_scale in zip(
            tf.split(rows, blocks, axis=1), tf.split(codes, blocks), tf.unstack(scale), strict=True
        ):
            # In the order of training: floats differ with it.
            total += _accumulators(part, block, limit) * block_scale
        total *= x_scale
    return total if bias is None else total + bias


def _accumulators(rows: tf.Tensor, codes: tf.Tensor, limit: int) -> tf.Tensor:
    return tf.cast(exact_float_matmul(rows, codes, limit), tf.float32)
