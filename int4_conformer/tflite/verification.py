"""Reading an exported file back and comparing it with the checkpoint, integer by integer."""

from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.deployed_weight import DeployedWeight

_BUILTIN_OPERATORS = {
    name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_FILTER_INPUT = 1


def verify(content: bytes, weights: Sequence[DeployedWeight]) -> None:
    """Checks that a file computes with the checkpoint's integers, as `differences` says.

    Raises:
        UserError: the file differs; nothing should be shipped.
    """
    for _, difference in differences(flatbuffer.load(content), weights):
        raise _refused(difference)


def differences(
    model: schema.ModelT, weights: Sequence[DeployedWeight]
) -> Iterator[tuple[str, str]]:
    """Where a file does not compute with the checkpoint's integers.

    - Each weight, or one equal to it, is there, as INT2, INT4 or INT8 [out, in], its codes,
      scales and blocks bit-equal to the checkpoint's, quantized_dimension 0 and zero points 0.
    - Each is used only as the filter of a FULLY_CONNECTED or the table of an EMBEDDING_LOOKUP, or
      is dequantized if its activations are not 8 bits.
    - Where activations are static, the matmul stands between QUANTIZE and DEQUANTIZE, its scales,
      zero points and int32 bias bit-equal to the checkpoint's; elsewhere it is float at both ends.
    - No operator is a Flex or other custom operator.

    Args:
        model: as `flatbuffer.load` gives it.
        weights: the integers.

    Yields:
        the name of a weight, or "", and a difference, as "codes of joint/encoder/kernel differ".
    """
    expected = {weight.name: weight for weight in weights}
    found: dict[str, DeployedWeight] = {}
    constants = {(c.subgraph, c.tensor): c for c in flatbuffer.constants(model)}
    places: dict[tuple[int, int], DeployedWeight] = {}
    for place, constant in constants.items():
        weight = expected.get(constant.name.partition("@")[0])
        if weight is not None and not constant.is_scale:
            yield from _of(weight, _compared(constant, weight))
            found[weight.name] = places[place] = weight
    for weight in weights:
        # The converter keeps equal constants once, under the name of one of them.
        if weight.name not in found and not any(map(weight.equals, found.values())):
            yield weight.name, f"{weight.name} is not in it"
    operators = list(flatbuffer.operators(model))
    for operator in operators:
        if operator.name not in _BUILTIN_OPERATORS:
            yield "", f"it needs the custom operator {operator.name}"
        for position, tensor in enumerate(operator.inputs):
            weight = places.get((operator.subgraph, tensor))
            if weight is not None:
                yield from _of(weight, _use(operator, position, weight))
                if operator.name == "FULLY_CONNECTED":
                    tensors = model.subgraphs[operator.subgraph].tensors
                    yield from _of(weight, _ends(operator, tensors, weight))
                    if weight.static is not None:
                        yield from _of(weight, _neighbours(operator, operators, weight))
                        yield from _of(weight, _bias(operator, constants, weight))


def _of(weight: DeployedWeight, found: Iterator[str]) -> Iterator[tuple[str, str]]:
    return ((weight.name, difference) for difference in found)


def _compared(constant: flatbuffer.Constant, weight: DeployedWeight) -> Iterator[str]:
    dtype = f"int{weight.storage_bits}"
    if constant.dtype != dtype or constant.scale is None:
        yield f"{weight.name} is {constant.dtype}, not {dtype}"
        return
    if constant.shape != weight.codes.shape or constant.quantized_dimension != 0:
        yield f"{weight.name} has shape {constant.shape}, not {weight.codes.shape}"
        return
    if not np.array_equal(constant.values(), weight.codes):
        yield f"codes of {weight.name} differ"
    if not np.array_equal(constant.scale.view(np.int32), weight.scale.view(np.int32)):
        yield f"scales of {weight.name} differ"
    if constant.block != weight.block:
        yield f"{weight.name} has blocks of {constant.block}, not {weight.block}"
    if constant.zero_point is not None and constant.zero_point.any():
        yield f"{weight.name} has zero points"


def _use(operator: flatbuffer.Operator, position: int, weight: DeployedWeight) -> Iterator[str]:
    allowed = [("EMBEDDING_LOOKUP", 1)]
    if weight.integer_kernel:
        allowed.append(("FULLY_CONNECTED", _FILTER_INPUT))
    else:
        allowed.append(("DEQUANTIZE", 0))
    if (operator.name, position) not in allowed:
        yield f"{weight.name} is input {position} of {operator.name}"


def _ends(
    matmul: flatbuffer.Operator, tensors: list[schema.TensorT], weight: DeployedWeight
) -> Iterator[str]:
    """The matmul takes and gives float32 or, with static activations, int8 in the right ranges."""
    static = weight.static
    dtype = "float32" if static is None else "int8"
    for end, index in (("input", matmul.inputs[0]), ("output", matmul.outputs[0])):
        tensor = tensors[index]
        if tensor.type != getattr(schema.TensorType, dtype.upper()):
            yield f"the {end} of {weight.name}'s matmul is not {dtype}"
            continue
        if static is None:
            continue
        scale = np.float32(getattr(static, f"{end}_scale"))
        if not np.array_equal(tensor.quantization.scale, [scale]):
            yield f"the scale of the {end} of {weight.name}'s matmul differs"
        zero_point = getattr(static, f"{end}_zero_point")
        if not np.array_equal(tensor.quantization.zeroPoint, [zero_point]):
            yield f"the zero point of the {end} of {weight.name}'s matmul differs"


def _neighbours(
    matmul: flatbuffer.Operator, operators: list[flatbuffer.Operator], weight: DeployedWeight
) -> Iterator[str]:
    """A static matmul takes its codes from QUANTIZE and gives them to DEQUANTIZE alone."""
    x, (y,) = matmul.inputs[0], matmul.outputs
    near = [operator for operator in operators if operator.subgraph == matmul.subgraph]
    producers = [operator.name for operator in near if x in operator.outputs]
    consumers = [operator.name for operator in near if y in operator.inputs]
    if (producers, consumers) != (["QUANTIZE"], ["DEQUANTIZE"]):
        yield (
            f"the matmul of {weight.name} stands between {producers} and {consumers}, not QUANTIZE "
            "and DEQUANTIZE"
        )


def _bias(
    matmul: flatbuffer.Operator,
    constants: dict[tuple[int, int], flatbuffer.Constant],
    weight: DeployedWeight,
) -> Iterator[str]:
    expected = None if weight.bias is None else weight.bias_codes(weight.bias)
    constant = constants.get((matmul.subgraph, matmul.inputs[2])) if matmul.inputs[2:] else None
    if constant is None:
        if np.any(expected):
            yield f"the matmul of {weight.name} lacks its bias"
        return
    if constant.dtype != "int32" or not np.array_equal(constant.scale, weight.accumulator_scale):
        yield f"the bias of {weight.name}'s matmul is not in steps of its accumulator"
        return
    if np.any(constant.zero_point):
        yield f"the bias of {weight.name}'s matmul has zero points"
    if expected is not None and not np.array_equal(constant.values(), expected):
        yield f"the bias of {weight.name}'s matmul differs"


def _refused(reason: str) -> UserError:
    return UserError(f"The exported file is not what was trained: {reason}; it was not written.")
