"""Products of an activation with a weight, and look-ups (docs/numerics.md)."""

import tensorflow as tf

from int4_conformer.quant.numerics.straight_through import StraightThrough
from int4_conformer.quant.products.base import QuantState, Weight
from int4_conformer.quant.products.trained import products
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.shapes import sizes


def dot(
    x: tf.Tensor,
    kernel: tf.Tensor | StraightThrough,
    config: QuantConfig,
    *,
    bias: tf.Tensor | None = None,
    transposed: bool = False,
    state: QuantState | None = None,
) -> tf.Tensor:
    """Multiplies the last axis of `x` by `kernel`.

    Args:
        x: float [..., in].
        kernel: float [in, out], quantized here with a scale per output channel, tensor or block;
            or what `before_loop` made of it.
        bias: float [out], added to the product; or None.
        transposed: whether the kernel is [out, in], as a table of vectors is.
        state: what the config asks for beside the kernel.

    Returns:
        float32 [..., out].
    """
    return matrix_product(
        x, Weight(variable=kernel, axis=int(transposed), bias=bias), config, state
    )


def before_loop(
    kernel: tf.Tensor, config: QuantConfig, *, state: QuantState | None = None
) -> tf.Tensor | StraightThrough:
    """What a loop should give `dot` for its kernel [in, out], to quantize it once and for all."""
    return products().before_loop(kernel, config, state or QuantState())


def matrix_product(
    x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState | None = None
) -> tf.Tensor:
    """`dot` with a matrix that is made of a weight of another shape.

    Raises:
        UserError: static activations are to be deployed whose ranges no training has seen.
    """
    computed = products()
    # A product of floats may be one of bfloat16.
    if config.name != "float" or x.dtype != tf.bfloat16 or not computed.trains:
        x = tf.cast(x, tf.float32)
    rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, x.shape[-1]])
    y = computed.matrix_product(rows, weight, config, state or QuantState())
    return y if x.shape.rank == 2 else tf.reshape(y, [*sizes(x)[:-1], y.shape[-1]])


def lookup(
    ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, *, state: QuantState | None = None
) -> tf.Tensor:
    """Rows of a table on their integer grid, with straight-through gradient.

    The codes are those of `dot` with the table, `transposed`.

    Args:
        ids: int [n].
        table: float [vocab, dim].
        config: its activation scheme does not matter here.
        state: as in `dot`.

    Returns:
        float32 [n, dim].
    """
    if config.weight_bits is None:
        return tf.gather(tf.convert_to_tensor(table), ids)
    return products().lookup(ids, table, config, state or QuantState())
