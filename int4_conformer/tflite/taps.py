"""A file that also gives what its matmuls are given: to look into it while it runs.

Nothing is computed otherwise. Of matmuls in loops, whose tensors are gone when the loop ends, it
gives nothing.
"""

import dataclasses
from collections.abc import Collection

from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import model_modifier

from int4_conformer.tflite import flatbuffer

_WEIGHT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tap:
    """The input of a matmul, as an output of a signature."""

    # Name of the output.
    output: str
    # Path of the matmul's weight.
    weight: str
    # Scale and zero point of what is int8, the input of a static matmul; None for float32.
    scale: float | None = None
    zero_point: int = 0


def tap(model: schema.ModelT, weights: Collection[str]) -> tuple[bytes, dict[str, list[Tap]]]:
    """Makes the inputs of matmuls outputs of the signatures that they are in.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        weights: paths of the weights whose matmuls are of interest.

    Returns:
        the file, and the new outputs of each signature in the order in which their matmuls run.
    """
    signatures = {signature.subgraphIndex: signature for signature in model.signatureDefs}
    taps = {signature.signatureKey.decode(): [] for signature in model.signatureDefs}
    for operator in flatbuffer.operators(model):
        signature = signatures.get(operator.subgraph)
        if signature is None or operator.name != "FULLY_CONNECTED":
            continue
        subgraph = model.subgraphs[operator.subgraph]
        weight = subgraph.tensors[operator.inputs[_WEIGHT]].name.decode().partition("@")[0]
        if weight in weights:
            known = taps[signature.signatureKey.decode()]
            known.append(_tap(subgraph, signature, operator.inputs[0], weight, len(known)))
    return bytes(model_modifier.ModelModifier(model).modify_model({})), taps


def _tap(
    subgraph: schema.SubGraphT,
    signature: schema.SignatureDefT,
    index: int,
    weight: str,
    number: int,
) -> Tap:
    output = f"tap {number}"
    subgraph.outputs = [*subgraph.outputs, index]
    signature.outputs.append(schema.TensorMapT(name=output.encode(), tensorIndex=index))
    quantization = subgraph.tensors[index].quantization
    if quantization is None or quantization.scale is None:
        return Tap(output=output, weight=weight)
    return Tap(
        output=output,
        weight=weight,
        scale=float(quantization.scale[0]),
        zero_point=int(quantization.zeroPoint[0]),
    )
