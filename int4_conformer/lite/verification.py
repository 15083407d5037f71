"""Reading an exported file back and comparing it with the checkpoint, integer by integer."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError
from int4_conformer.lite import flatbuffer
from int4_conformer.lite.weights import DeployedWeight

_BUILTIN_OPERATORS = {
    name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_FILTER_INPUT = 1


def verify(content: bytes, weights: Sequence[DeployedWeight]) -> None:
    """Checks that a file computes with the checkpoint's integers.

    - Each weight, or one equal to it, is there, as INT4 (INT8 above 4 bits) [out, in], its codes,
      scales and blocks bit-equal to the checkpoint's, quantized_dimension 0 and zero points 0.
    - Each is used only as the filter of a FULLY_CONNECTED or the table of an EMBEDDING_LOOKUP, or
      is dequantized if its activations are not 8 bits.
    - No operator is a Flex or other custom operator.

    Raises:
        UserError: the file differs; nothing should be shipped.
    """
    model = flatbuffer.load(content)
    expected = {weight.name: weight for weight in weights}
    found: dict[str, DeployedWeight] = {}
    places: dict[tuple[int, int], DeployedWeight] = {}
    for constant in flatbuffer.constants(model):
        weight = expected.get(constant.name.partition("@")[0])
        if weight is not None and not constant.is_scale:
            _compare(constant, weight)
            found[weight.name] = places[constant.subgraph, constant.tensor] = weight
    for weight in weights:
        # The converter keeps equal constants once, under the name of one of them.
        if weight.name not in found and not any(map(weight.equals, found.values())):
            raise _refused(f"{weight.name} is not in it")
    for operator in flatbuffer.operators(model):
        if operator.name not in _BUILTIN_OPERATORS:
            raise _refused(f"it needs the custom operator {operator.name}")
        for position, tensor in enumerate(operator.inputs):
            weight = places.get((operator.subgraph, tensor))
            if weight is not None:
                _check_use(operator, position, weight)


def _compare(constant: flatbuffer.Constant, weight: DeployedWeight) -> None:
    dtype = f"int{weight.storage_bits}"
    if constant.dtype != dtype:
        raise _refused(f"{weight.name} is {constant.dtype}, not {dtype}")
    if constant.shape != weight.codes.shape or constant.quantized_dimension != 0:
        raise _refused(f"{weight.name} has shape {constant.shape}, not {weight.codes.shape}")
    if not np.array_equal(constant.values(), weight.codes):
        raise _refused(f"codes of {weight.name} differ")
    if not np.array_equal(constant.scale.view(np.int32), weight.scale.view(np.int32)):
        raise _refused(f"scales of {weight.name} differ")
    if constant.block != weight.block:
        raise _refused(f"{weight.name} has blocks of {constant.block}, not {weight.block}")
    if constant.zero_point is not None and constant.zero_point.any():
        raise _refused(f"{weight.name} has zero points")


def _check_use(operator: flatbuffer.Operator, position: int, weight: DeployedWeight) -> None:
    allowed = [("EMBEDDING_LOOKUP", 1)]
    if weight.integer_kernel:
        allowed.append(("FULLY_CONNECTED", _FILTER_INPUT))
    else:
        allowed.append(("DEQUANTIZE", 0))
    if (operator.name, position) not in allowed:
        raise _refused(f"{weight.name} is input {position} of {operator.name}")


def _refused(reason: str) -> UserError:
    return UserError(f"The exported file is not what was trained: {reason}; it was not written.")
