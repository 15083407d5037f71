"""Products in training: of integers forward, with straight-through gradients.

Backward, at the quantized operands:

    dx = dy w_deq^T          dw_deq = x_deq^T dy

Dynamic rows pass their gradient on unchanged; how `dw_deq` reaches the weight is
`quant.numerics.weight`.
"""

import dataclasses

import tensorflow as tf

from int4_conformer.quant.context import context, traced_once
from int4_conformer.quant.numerics.activations import quantize_rows
from int4_conformer.quant.numerics.straight_through import (
    Gradient,
    StraightThrough,
    straight_through,
    with_gradient,
)
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.numerics.weight import straight_through_weight
from int4_conformer.quant.products.base import Products, QuantState, Weight
from int4_conformer.quant.products.depthwise import native_depthwise_conv, sum_over_taps
from int4_conformer.quant.products.integer_product import integer_product
from int4_conformer.quant.products.matmul import float_matmul, int_matmul, matmul_in
from int4_conformer.quant.products.static import static_product
from int4_conformer.quant.spec.quant_config import Backend, QuantConfig, levels
from int4_conformer.xla import fused


class TrainedProducts(Products):
    """Weights are quantized where they are used, from their float masters."""

    trains = True

    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        matrix, axis, bias = weight.matrix(), weight.axis, weight.vector()
        if config.activation == "int8_static":
            if not isinstance(matrix, StraightThrough):
                matrix = _on_grid(matrix, axis, config, state)
            return static_product(x, matrix, axis, bias, config, state.ranges)
        if isinstance(matrix, StraightThrough) or config.weight_bits is None:
            # A few ops, not worth a function of their own.
            return _product(axis, config, x, matrix, bias)
        return traced_once(_quantizing_product, axis, config)(
            x, matrix, bias, *map(_tensor, (state.clip, state.offset))
        )

    def before_loop(
        self, kernel: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor | StraightThrough:
        return kernel if config.weight_bits is None else _on_grid(kernel, 0, config, state)

    def lookup(
        self, ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        table = tf.convert_to_tensor(table)
        if config.granularity == "tensor":
            return tf.gather(_on_grid(table, 1, config, state).value, ids)
        # A row is a channel of its own, so that only the rows looked up are quantized.
        clip, offset = (
            None if x is None else tf.gather(x, ids) for x in (state.clip, state.offset)
        )
        rows = tf.gather(table, ids)
        return straight_through_weight(rows, config, 1, clip=clip, offset=offset).value

    def depthwise_kernel(self, weight: Weight, config: QuantConfig, state: QuantState) -> tf.Tensor:
        return _on_grid(weight.matrix(), 0, config, state).value

    def product_of_codes(self, a: QTensor, b: QTensor, backend: Backend) -> tf.Tensor:
        limit = levels(b.bits)
        return tf.cast(int_matmul(a.codes, b.codes, b_limit=limit, backend=backend), tf.float32)

    def depthwise_conv(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        # Its loop needs to know how long it is.
        return (native_depthwise_conv if x.shape[1] is None else sum_over_taps)(x, kernel)

    def with_row(self, rows: tf.Tensor, index: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(rows, tf.reshape(index, [1, 1]), row[None])


_TRAINED = TrainedProducts()


def products() -> Products:
    """How products are computed here: as in training, unless a deployment is traced."""
    return context().products or _TRAINED


def _tensor(x: tf.Tensor | tf.Variable | None) -> tf.Tensor | None:
    return None if x is None else tf.convert_to_tensor(x)


def _on_grid(
    matrix: tf.Tensor, axis: int, config: QuantConfig, state: QuantState
) -> StraightThrough:
    return straight_through_weight(matrix, config, axis, clip=state.clip, offset=state.offset)


def _quantizing_product(
    axis: int,
    config: QuantConfig,
    x: tf.Tensor,
    matrix: tf.Tensor,
    bias: tf.Tensor | None,
    clip: tf.Tensor | None,
    offset: tf.Tensor | None,
) -> tf.Tensor:
    matrix = straight_through_weight(matrix, config, axis, clip=clip, offset=offset)
    return _product(axis, config, x, matrix, bias)


def _product(
    axis: int,
    config: QuantConfig,
    x: tf.Tensor,
    matrix: tf.Tensor | StraightThrough,
    bias: tf.Tensor | None,
) -> tf.Tensor:
    """The product of matrices, each quantized or float, with gradients."""
    rows = None
    if config.activation != "float":
        rows = quantize_rows(x, config.activation)
        x = straight_through(x, rows.dequantize())
    if rows is not None and isinstance(matrix, StraightThrough):
        return _integer_matmul(StraightThrough(tensor=rows, value=x), matrix, axis, bias, config)
    value = matrix.value if isinstance(matrix, StraightThrough) else matrix
    y = float_matmul(x, value, axis, config)
    return y if bias is None else y + bias


def _integer_matmul(
    x: StraightThrough,
    weight: StraightThrough,
    axis: int,
    bias: tf.Tensor | None,
    config: QuantConfig,
) -> tf.Tensor:
    """The product of integers forward; of the same integers, as floats, backward."""
    dtype = tf.as_dtype(config.backward_dtype)
    blocks = weight.tensor.scale.shape[axis]

    def product(*tensors: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
        _, weight_value, *bias, x_codes, x_scale, zero_point, codes, scale = tensors

        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            if blocks > 1:
                dx = matmul_in(dtype, dy, weight_value, transpose_b=axis == 0)
            else:
                scaled, centred = _operands(dy, tf.reshape(scale, [1, -1]), codes, None, dtype)
                dx = matmul_in(dtype, scaled, centred, transpose_b=axis == 0)
            scaled, rows = _operands(dy, x_scale, x_codes, zero_point, dtype)
            operands = (rows, scaled) if axis == 0 else (scaled, rows)
            dw = matmul_in(dtype, *operands, transpose_a=True)
            return [dx, dw, *[_sum_of_rows(dy)] * len(bias)]

        rows = dataclasses.replace(x.tensor, codes=x_codes, scale=x_scale, zero_point=zero_point)
        held = dataclasses.replace(weight.tensor, codes=codes, scale=scale)
        return integer_product(rows, held, axis, config.backend, *bias), gradient

    return with_gradient(
        product,
        [x.value, weight.value, *([] if bias is None else [bias])],
        [
            *(x.tensor.codes, x.tensor.scale, x.tensor.zero_point),
            *(weight.tensor.codes, weight.tensor.scale),
        ],
    )


@fused
def _operands(
    dy: tf.Tensor,
    scale: tf.Tensor,
    codes: tf.Tensor,
    zero_point: tf.Tensor | None,
    dtype: tf.DType,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The operands of a product of the backward pass.

    The scales go into dy, so that the other operand is codes less their zero point: at most 255 in
    size, which is exact in bfloat16, and a quarter of the memory of floats until the backward pass
    comes to them.
    """
    centred = tf.cast(codes, dtype)
    if zero_point is not None:
        centred -= tf.cast(zero_point, dtype)
    return tf.cast(dy * scale, dtype), centred


@fused
def _sum_of_rows(dy: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(dy, axis=0)
