"""Quantized products with straight-through gradients: Contracts M and G.

Forward, `y = x w` with `x` in rows of integers and `w` in integers per output channel:

    y = (x_codes w_codes - zero_point * column_sums(w_codes)) * x_scale * w_scale

summed over blocks if the weight's scales come in blocks. Backward, at the quantized operands:

    dx = dy w_deq^T          dw_deq = x_deq^T dy

Dynamic rows pass their gradient on unchanged; how `dw_deq` reaches the weight is `quant.snap`.
"""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.activations import quantize_rows
from int4_conformer.quant.barrier import LIMIT
from int4_conformer.quant.config import Backend, QuantConfig, levels
from int4_conformer.quant.deploy import DeployedMatrix, deployment
from int4_conformer.quant.float_matmul import float_matmul, matmul_in
from int4_conformer.quant.fused import fused
from int4_conformer.quant.matmul import column_sums, portable_backend, shifted_matmul
from int4_conformer.quant.snap import Snapped, snap_weight
from int4_conformer.quant.state import QuantState
from int4_conformer.quant.static import deployed_static_product, static_product
from int4_conformer.quant.straight_through import Gradient, straight_through, with_gradient
from int4_conformer.quant.tensor import QTensor


def dot(
    x: tf.Tensor,
    kernel: tf.Tensor | Snapped,
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
    return matrix_product(x, kernel, config, axis=int(transposed), bias=bias, state=state)


def before_loop(
    kernel: tf.Tensor, config: QuantConfig, *, state: QuantState | None = None
) -> tf.Tensor | Snapped:
    """What a loop should give `dot` for its kernel [in, out], to quantize it once and for all."""
    if config.weight_bits is None or deployment() is not None:
        return kernel
    state = state or QuantState()
    return snap_weight(kernel, config, clip=state.clip, offset=state.offset)


def matrix_product(
    x: tf.Tensor,
    weight: tf.Tensor | Snapped,
    config: QuantConfig,
    *,
    to_matrix: Callable[[tf.Tensor], tf.Tensor] = tf.convert_to_tensor,
    part: str = "",
    axis: int = 0,
    bias: tf.Tensor | None = None,
    to_vector: Callable[[tf.Tensor], tf.Tensor] = tf.convert_to_tensor,
    state: QuantState | None = None,
) -> tf.Tensor:
    """`dot` with a matrix that is made of a weight of another shape.

    Args:
        to_matrix: makes it.
        to_vector: makes [out] of the bias.
        part: suffix of the weight's name, where one weight makes several matrices.
        axis: the axis of the matrix that meets the last axis of `x`.

    Raises:
        UserError: static activations are to be deployed whose ranges no training has seen.
    """
    state, target = state or QuantState(), deployment()
    # A product of floats may be one of bfloat16.
    if config.name != "float" or x.dtype != tf.bfloat16 or target is not None:
        x = tf.cast(x, tf.float32)
    vector = None if bias is None else to_vector(bias)
    if target is not None and config.weight_bits is not None:
        held = target.matrix(
            target.name(weight) + part,
            lambda: to_matrix(weight),
            config,
            axis,
            state,
            None if bias is None else lambda: to_vector(bias),
        )
        if config.activation == "int8_static" and held.ranges is None:
            raise UserError(
                f"{held.name} has static activations but no range yet; train the model for some "
                "steps, or call it with training=True on a few batches."
            )
        width, columns = held.tensor.codes.shape[axis], held.tensor.codes.shape[1 - axis]
        y = _deployed_product(_as_rows(x, width), held, vector)
    else:
        matrix = weight if isinstance(weight, Snapped) else to_matrix(weight)
        width, columns = matrix.shape[axis], matrix.shape[1 - axis]
        y = _trained_product(_as_rows(x, width), matrix, axis, vector, config, state)
    return y if x.shape.rank == 2 else tf.reshape(y, [*sizes(x)[:-1], columns])


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
    state = state or QuantState()
    if config.weight_bits is None:
        return tf.gather(tf.convert_to_tensor(table), ids)
    target = deployment()
    if target is not None:
        read = functools.partial(tf.convert_to_tensor, table)
        held = target.matrix(target.name(table), read, config, 1, state).in_graph
        return _rows(held, ids).dequantize() if isinstance(held, QTensor) else tf.gather(held, ids)
    table = tf.convert_to_tensor(table)
    if config.granularity == "tensor":
        snapped = snap_weight(table, config, 1, clip=state.clip, offset=state.offset)
        return tf.gather(snapped.value, ids)
    # A row is a channel of its own, so that only the rows looked up are quantized.
    clip, offset = (None if x is None else tf.gather(x, ids) for x in (state.clip, state.offset))
    return snap_weight(tf.gather(table, ids), config, 1, clip=clip, offset=offset).value


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The shape of `x` as `tf.reshape` takes it: -1 if one axis is unknown, tensors if more are."""
    unknown = [-1] * x.shape.rank if x.shape.as_list().count(None) < 2 else tf.unstack(tf.shape(x))
    return [u if size is None else size for size, u in zip(x.shape, unknown, strict=True)]


def _as_rows(x: tf.Tensor, width: int) -> tf.Tensor:
    return x if x.shape.rank == 2 else tf.reshape(x, [-1, width])


def _trained_product(
    x: tf.Tensor,
    matrix: tf.Tensor | Snapped,
    axis: int,
    bias: tf.Tensor | None,
    config: QuantConfig,
    state: QuantState,
) -> tf.Tensor:
    """The product of matrices, each quantized or float, with gradients."""
    if config.weight_bits is not None and not isinstance(matrix, Snapped):
        matrix = snap_weight(matrix, config, axis, clip=state.clip, offset=state.offset)
    if config.activation == "int8_static":
        return static_product(x, matrix, axis, bias, config, state.ranges)
    rows = None
    if config.activation != "float":
        rows = quantize_rows(x, config.activation)
        x = straight_through(x, rows.dequantize())
    if rows is not None and isinstance(matrix, Snapped):
        return _integer_matmul(Snapped(tensor=rows, value=x), matrix, axis, bias, config)
    value = matrix.value if isinstance(matrix, Snapped) else matrix
    y = float_matmul(x, value, axis, config)
    return y if bias is None else y + bias


def _deployed_product(x: tf.Tensor, held: DeployedMatrix, bias: tf.Tensor | None) -> tf.Tensor:
    """The product of a matrix with a deployed one."""
    config, axis, weight = held.config, held.axis, held.in_graph
    if isinstance(weight, QTensor) and config.activation == "int8_static":
        return deployed_static_product(x, weight, axis, bias, held.ranges)
    if isinstance(weight, QTensor) and config.is_integer:
        backend = portable_backend(weight.codes.shape[axis], levels(weight.bits))
        return _integer_product(quantize_rows(x, config.activation), weight, axis, backend, bias)
    if config.activation == "int4":
        # No runtime has kernels for 4-bit activations.
        x = quantize_rows(x, config.activation).dequantize()
    if isinstance(weight, QTensor):
        y = tf.matmul(x, weight.dequantize(), transpose_b=axis == 1)
        return y if bias is None else y + bias
    y = tf.matmul(tf.minimum(x, LIMIT), weight, transpose_b=axis == 1)
    return tf.minimum(y if bias is None else y + bias, LIMIT)


def _integer_matmul(
    x: Snapped, weight: Snapped, axis: int, bias: tf.Tensor | None, config: QuantConfig
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
        return _integer_product(rows, held, axis, config.backend, *bias), gradient

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


def _integer_product(
    x: QTensor, weight: QTensor, axis: int, backend: Backend, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """float32 [rows, out] from codes [rows, in] and [in, out], or [out, in] with `axis` 1."""
    codes, scale = weight.codes, weight.scale
    if axis == 1:
        codes, scale = tf.transpose(codes), tf.transpose(scale)
    blocks = scale.shape[0]
    products = [
        shifted_matmul(rows, block, b_limit=levels(weight.bits), backend=backend)
        for rows, block in zip(_split(x.codes, blocks, 1), _split(codes, blocks), strict=True)
    ]
    accumulators, (shift, *_) = zip(*products, strict=True)
    return _dequantized(accumulators, shift, x.zero_point, x.scale, codes, scale, bias)


@fused
def _dequantized(
    accumulators: tuple[tf.Tensor, ...],
    shift: int,
    zero_point: tf.Tensor | None,
    x_scale: tf.Tensor,
    codes: tf.Tensor,
    scale: tf.Tensor,
    bias: tf.Tensor | None,
) -> tf.Tensor:
    """What the accumulators of all blocks stand for, and the bias.

    Args:
        accumulators: of rows that are `shift` and `zero_point` larger than they stand for.
        codes: of the weight, [in, out].
        scale: of the weight, [blocks, out].
    """
    blocks = len(accumulators)
    offset = shift if zero_point is None else zero_point + shift
    total = 0.0
    for accumulator, block, block_scale in zip(
        accumulators, _split(codes, blocks), _split(scale, blocks), strict=True
    ):
        if zero_point is not None or shift:
            accumulator -= offset * column_sums(block)
        sums = tf.cast(accumulator, tf.float32)
        total = sums * x_scale * block_scale if blocks == 1 else total + sums * block_scale
    if blocks > 1:
        total *= x_scale
    return total if bias is None else total + bias


def _split(x: tf.Tensor, blocks: int, axis: int = 0) -> list[tf.Tensor]:
    return [x] if blocks == 1 else tf.split(x, blocks, axis=axis)


def _rows(table: QTensor, ids: tf.Tensor) -> QTensor:
    scale = table.scale if table.scale.shape[0] == 1 else tf.gather(table.scale, ids)
    return QTensor(codes=tf.gather(table.codes, ids), scale=scale, bits=table.bits)
