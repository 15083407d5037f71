"""Files that also give what is between their input and their output."""

import dataclasses

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from int4_conformer import interface
from int4_conformer.tflite import flatbuffer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tap:
    """An output that was added: a float32 tensor that an operator makes."""

    # Of the output.
    name: str
    # Of the tensor: that of its layer, or of the operator.
    tensor: str
    # Such as "FULLY_CONNECTED".
    operator: str
    # The weights that integer kernels multiply it by.
    weights: tuple[str, ...]


def tapped(content: bytes) -> tuple[bytes, list[Tap]]:
    """A file whose signature `serving_default` also gives what each operator makes, but for those
    within loops.

    Args:
        content: a recogniser's file.

    Returns:
        the file, and what it gives, in the order of execution.
    """
    model = flatbuffer.load(content)
    (signature,) = [
        s for s in model.signatureDefs if s.signatureKey.decode() == interface.SERVING_DEFAULT
    ]
    subgraph = model.subgraphs[signature.subgraphIndex]
    operators = [
        operator
        for operator in flatbuffer.operators(model)
        if operator.subgraph == signature.subgraphIndex
    ]
    weights = {
        constant.tensor: constant.name.partition("@")[0]
        for constant in flatbuffer.constants(model)
        if constant.subgraph == signature.subgraphIndex and constant.dtype.startswith("int")
    }
    multiplied: dict[int, list[str]] = {}
    for operator in operators:
        if operator.name == "FULLY_CONNECTED" and operator.inputs[1] in weights:
            multiplied.setdefault(operator.inputs[0], []).append(weights[operator.inputs[1]])
    taps = []
    known = {output.tensorIndex for output in signature.outputs}
    for operator in operators:
        for index in operator.outputs:
            tensor = subgraph.tensors[index]
            if tensor.type != schema.TensorType.FLOAT32 or index in known:
                continue
            tap = Tap(
                name=f"tap_{index}",
                tensor=tensor.name.decode(),
                operator=operator.name,
                weights=tuple(multiplied.get(index, ())),
            )
            signature.outputs.append(schema.TensorMapT(name=tap.name, tensorIndex=index))
            subgraph.outputs = [*subgraph.outputs, index]
            taps.append(tap)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), taps
