"""Putting trained integers into a float TFLite model.

The float model holds every quantized weight on its grid, transposed to output channels first by the
converter. Each is found by its bits, renamed to its path and replaced by the codes and scales of
the checkpoint, handed over as they are: nothing is quantized again, so nothing can change.
"""

import collections
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import model_modifier, qtyping

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer, graph_edits, runtime_limits
from int4_conformer.tflite.deployed_weight import DeployedWeight
from int4_conformer.tflite.folding_barriers import remove_barriers
from int4_conformer.tflite.operator_versions import set_versions
from int4_conformer.tflite.row_reshapes import drop_row_reshapes
from int4_conformer.tflite.serialization import serialize
from int4_conformer.tflite.static_matmul import make_static
from int4_conformer.tflite.tensor_names import name_tensors

_FILTER_INPUT = 1


def pack(
    model: schema.ModelT, weights: Sequence[DeployedWeight], named: Collection[str] = ()
) -> bytes:
    """Serialises a float model with its quantized weights as integers.

    Matmuls with int8 activations keep their FULLY_CONNECTED operator with an INT2, INT4 or INT8
    filter, between QUANTIZE and DEQUANTIZE where the activations are static; look-ups in a
    quantized table become EMBEDDING_LOOKUP; weights meant for other activations go through
    DEQUANTIZE into a float kernel.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        weights: the integers.
        named: paths of weights that stay float, and that constants of the model are named after.

    Raises:
        UserError: a weight is not in the model, the runtime has no kernel for it (rows of
            no whole bytes, a block size), or weights of equal values are quantized differently.
    """
    for weight in weights:
        runtime_limits.require_storable(weight)
    remove_barriers(model)
    drop_row_reshapes(model)
    by_bits = _by_bits(weights)
    missing = {alike[0].name for alike in by_bits.values()}
    parameters: dict[str, qtyping.TensorTransformationParams] = {}
    graph_edits.empty_orphans(model)
    for subgraph_index, subgraph in enumerate(model.subgraphs):
        _slim(model, subgraph, subgraph_index)
        taken: dict[int, DeployedWeight] = {}
        for index, operator in enumerate(subgraph.operators or ()):
            # The parsed arrays are views of the file; the packer rewires the operators.
            operator.inputs = operator.inputs.tolist()
            for position, tensor_index in enumerate(operator.inputs):
                tensor = subgraph.tensors[tensor_index]
                alike = by_bits.get(_constant_key(model, tensor))
                if alike is None or tensor_index < 0:
                    continue
                if tensor_index not in taken:
                    # Of weights with equal values, each constant is named after the next.
                    rest = [weight for weight in alike if weight not in taken.values()]
                    taken[tensor_index] = (rest or alike)[0]
                weight = taken[tensor_index]
                missing.discard(alike[0].name)
                suffix = f"@{subgraph_index}" if subgraph_index else ""
                tensor.name = f"{weight.name}{suffix}".encode()
                name = flatbuffer.builtin(model.operatorCodes[operator.opcodeIndex])
                if name == schema.BuiltinOperator.GATHER:
                    _make_embedding_lookup(model, subgraph, operator)
                elif name == schema.BuiltinOperator.FULLY_CONNECTED:
                    runtime_limits.require_matmul(weight)
                if position not in (0, _FILTER_INPUT):
                    raise UserError(f"{weight.name} is no filter of its operator; cannot pack it.")
                parameters.setdefault(
                    tensor.name.decode(),
                    qtyping.TensorTransformationParams(tensor.name.decode(), None, []),
                ).consumers.append(_transformation(weight, index, name))
    if missing:
        raise UserError(
            f"The converted model lacks {len(missing)} of {len(weights)} quantized weights, "
            f"such as {min(missing)}; every layer of the model must be in its graph."
        )
    modifier = model_modifier.ModelModifier(model)
    packed = flatbuffer.load(bytes(modifier.modify_model(parameters, enable_progress_bar=False)))
    make_static(packed, weights)
    graph_edits.empty_orphans(packed)
    set_versions(packed)
    name_tensors(packed, {*named, *(weight.name for weight in weights)})
    graph_edits.drop_unused_buffers(packed)
    return serialize(packed)


def _by_bits(weights: Sequence[DeployedWeight]) -> dict[Any, list[DeployedWeight]]:
    """The weights that each constant of the float model can be."""
    by_bits = collections.defaultdict(list)
    for weight in weights:
        by_bits[_key(weight.dequantized())].append(weight)
    for first, *others in by_bits.values():
        for other in others:
            if not first.equals(other):
                raise UserError(
                    f"{first.name} and {other.name} hold equal values but differ in bits, blocks "
                    "or activations, and the converted model does not tell them apart; give both "
                    "layers one recipe."
                )
    return by_bits


def _transformation(
    weight: DeployedWeight, operator_index: int, operator: int
) -> qtyping.OpToTensorParams:
    looked_up = operator == schema.BuiltinOperator.GATHER
    transformation = (
        qtyping.QuantTransformation.QUANTIZE_TENSOR
        if weight.integer_kernel or looked_up
        else qtyping.QuantTransformation.ADD_DEQUANTIZE
    )
    scale = weight.scale[:, None] if weight.block is None else weight.scale
    return qtyping.OpToTensorParams(
        subgraph_op_id=operator_index,
        transformations=[transformation],
        parameters=qtyping.UniformQuantParams(
            num_bits=weight.storage_bits,
            quantized_dimension=0,
            scale=scale,
            zero_point=np.zeros_like(scale, np.int32),
            symmetric=True,
            quantized_data=weight.codes,
            block_size=weight.block or 0,
        ),
    )


def _slim(model: schema.ModelT, subgraph: schema.SubGraphT, subgraph_index: int) -> None:
    """Drops what no runtime reads of activations: long names, shape signatures and buffers of their
    own. In a small model they are a third of the file.

    Names of constants get their subgraph's number, since the packer tells tensors apart by name.
    """
    entered = {signature.subgraphIndex for signature in model.signatureDefs or ()}
    inputs = set(subgraph.inputs) if subgraph_index in {0, *entered} else ()
    for index, tensor in enumerate(subgraph.tensors):
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
        if model.buffers[tensor.buffer].data is not None:
            tensor.name = f"{tensor.name.decode()}@{subgraph_index}".encode()
        elif index not in inputs:
            tensor.name, tensor.buffer, tensor.shapeSignature = b"", 0, None


def _make_embedding_lookup(
    model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT
) -> None:
    """GATHER of a table's rows, which takes no INT4, becomes EMBEDDING_LOOKUP, which does."""
    table, ids = operator.inputs
    if len(subgraph.tensors[ids].shape) != 1:
        raise UserError("A look-up in a quantized table must be by a vector of ids.")
    code = schema.BuiltinOperator.EMBEDDING_LOOKUP
    operator.opcodeIndex = graph_edits.opcode_index(model, code, version=3)
    operator.inputs = [ids, table]
    operator.builtinOptions = None
    operator.builtinOptionsType = schema.BuiltinOptions.NONE


def _constant_key(
    model: schema.ModelT, tensor: schema.TensorT
) -> tuple[tuple[int, ...], bytes] | None:
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or len(tensor.shape) != 2:
        return None
    return _key(np.asarray(data).view(np.float32).reshape(tensor.shape))


def _key(values: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    # Adding zero makes -0.0 the 0.0 that a constant folder may have made of it.
    return values.shape, (values + np.float32(0)).tobytes()
