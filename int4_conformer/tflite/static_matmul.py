"""Matmuls that run on integers alone, between fixed ranges."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer, graph_edits
from int4_conformer.tflite.deployed_weight import DeployedWeight

_FUSABLE = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)


def make_static(model: schema.ModelT, weights: Sequence[DeployedWeight]) -> None:
    """Gives each matmul with a static range int8 input and output.

    Of FULLY_CONNECTED(x, filter, bias), float but for its filter, it makes

        QUANTIZE(x) -> FULLY_CONNECTED(x codes, filter, bias codes) -> DEQUANTIZE

    with an int32 bias. Matmuls of one input and one range share its QUANTIZE. An ADD behind the
    matmul, should the converter have left one, stays what it is: it follows DEQUANTIZE in float.

    Args:
        model: with the integers of `weights` in it, under their names; it is changed.

    Raises:
        UserError: another function than RELU is fused with a matmul, or a bias leaves the int32
            range.
    """
    static = {weight.name: weight for weight in weights if weight.static is not None}
    for subgraph in model.subgraphs:
        operators = []
        codes_of: dict[tuple[int, float, int], int] = {}
        for operator in subgraph.operators or ():
            weight = static.get(_filter_name(model, subgraph, operator))
            if weight is None:
                operators.append(operator)
                continue
            fused = operator.builtinOptions.fusedActivationFunction
            if fused not in _FUSABLE:
                raise UserError(
                    f"{weight.name} has static activations and the fused function number {fused}; "
                    "integer kernels fuse RELU alone, so keep the layer's activation apart."
                )
            (x, kernel, *bias), (y,) = operator.inputs.tolist(), operator.outputs.tolist()
            ends = weight.static
            source = x, ends.input_scale, ends.input_zero_point
            if source not in codes_of:
                codes_of[source] = _add_codes(subgraph, *source)
                operators.append(_convert(model, "QUANTIZE", x, codes_of[source]))
            y_codes = _add_codes(subgraph, y, ends.output_scale, ends.output_zero_point)
            bias = [_add_bias(model, subgraph, weight, b) if b >= 0 else b for b in bias]
            operator.inputs, operator.outputs = [codes_of[source], kernel, *bias], [y_codes]
            operators += [operator, _convert(model, "DEQUANTIZE", y_codes, y)]
        subgraph.operators = operators


def _filter_name(
    model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT
) -> str | None:
    """The name of the weight that a FULLY_CONNECTED multiplies by; None for other operators."""
    code = flatbuffer.builtin(model.operatorCodes[operator.opcodeIndex])
    if code != schema.BuiltinOperator.FULLY_CONNECTED:
        return None
    return subgraph.tensors[operator.inputs[1]].name.decode().partition("@")[0]


def _add_codes(subgraph: schema.SubGraphT, like: int, scale: float, zero_point: int) -> int:
    """Adds an int8 tensor for the codes of a float one."""
    return graph_edits.add_tensor(
        subgraph,
        schema.TensorType.INT8,
        subgraph.tensors[like].shape,
        np.array([scale], np.float32),
        np.array([zero_point], np.int64),
        name=b"",
    )


def _add_bias(
    model: schema.ModelT, subgraph: schema.SubGraphT, weight: DeployedWeight, bias: int
) -> int:
    """Adds a constant for the codes of a float bias, which other matmuls may share."""
    tensor = subgraph.tensors[bias]
    codes = weight.bias_codes(model.buffers[tensor.buffer].data.view(np.float32))
    model.buffers.append(schema.BufferT(data=codes.view(np.uint8)))
    return graph_edits.add_tensor(
        subgraph,
        schema.TensorType.INT32,
        tensor.shape,
        weight.accumulator_scale,
        np.zeros(codes.size, np.int64),
        name=tensor.name,
        buffer=len(model.buffers) - 1,
    )


def _convert(model: schema.ModelT, name: str, source: int, target: int) -> schema.OperatorT:
    """QUANTIZE or DEQUANTIZE, in the versions that know int8."""
    code = getattr(schema.BuiltinOperator, name)
    version = {"QUANTIZE": 1, "DEQUANTIZE": 2}[name]
    return schema.OperatorT(
        opcodeIndex=graph_edits.opcode_index(model, code, version),
        inputs=[source],
        outputs=[target],
    )
