"""Edits of a parsed TFLite graph."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer


def opcode_index(model: schema.ModelT, code: int, version: int) -> int:
    """The index of a `schema.BuiltinOperator` among the model's codes, to which it is added if it
    is not there."""
    codes = [flatbuffer.builtin(known) for known in model.operatorCodes]
    if code not in codes:
        codes.append(code)
        model.operatorCodes.append(
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=version)
        )
    return codes.index(code)


def add_tensor(
    subgraph: schema.SubGraphT,
    dtype: int,
    shape: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray,
    **fields: Any,
) -> int:
    """Adds a quantized tensor and returns its index.

    Args:
        dtype: a `schema.TensorType`.
        scale: float32 [1], or [channels] along axis 0.
        zero_point: int64 of that shape.
        fields: others of `schema.TensorT`.
    """
    quantization = schema.QuantizationParametersT(scale=scale, zeroPoint=zero_point)
    subgraph.tensors.append(
        schema.TensorT(type=dtype, shape=shape, quantization=quantization, **fields)
    )
    return len(subgraph.tensors) - 1


def empty_orphans(model: schema.ModelT) -> None:
    """Takes the values from tensors that nothing uses, and from buffers without a tensor.

    The converter leaves unused copies beside loops, and one that shares its buffer with a weight
    would turn into nonsense.
    """
    used_buffers = {entry.buffer for entry in model.metadata or ()}
    for subgraph in model.subgraphs:
        used = {*subgraph.inputs, *subgraph.outputs}
        for operator in subgraph.operators or ():
            used.update(operator.inputs)
            used.update(operator.outputs)
        used.update(map(flatbuffer.block_scales, subgraph.tensors))
        for index, tensor in enumerate(subgraph.tensors):
            if index not in used:
                tensor.buffer = 0
            used_buffers.add(tensor.buffer)
    for index, buffer in enumerate(model.buffers):
        if index not in used_buffers:
            buffer.data = None


def drop_unused_buffers(model: schema.ModelT) -> None:
    """Takes out buffers that no tensor and no metadata entry has; the first one, which is that of
    all tensors without values, stays."""
    holders = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
    holders += model.metadata or []
    used = sorted({0, *(holder.buffer for holder in holders)})
    place = {buffer: index for index, buffer in enumerate(used)}
    model.buffers = [model.buffers[buffer] for buffer in used]
    for holder in holders:
        holder.buffer = place[holder.buffer]
