"""Taking the barriers of a float twin out of the converted file (`quant.folding_barrier`)."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.quant.folding_barrier import FOLDING_BARRIER
from int4_conformer.tflite import flatbuffer


def remove_barriers(model: schema.ModelT) -> None:
    """Lets whatever takes the output of a barrier take its input.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
    """
    for subgraph_index, subgraph in enumerate(model.subgraphs):
        operators = subgraph.operators or []
        barriers = [operator for operator in operators if _is_barrier(model, subgraph, operator)]
        source = {int(barrier.outputs[0]): int(barrier.inputs[0]) for barrier in barriers}
        kept = [index for index in range(len(subgraph.tensors)) if index not in source]
        # What each tensor is from now on; an optional input left out, -1, stays so.
        place = {-1: -1} | {index: new for new, index in enumerate(kept)}
        # Operators run in order, so that a source has its place before what is made of it.
        for output, origin in source.items():
            place[output] = place[origin]
        subgraph.tensors = [subgraph.tensors[index] for index in kept]
        subgraph.operators = [operator for operator in operators if operator not in barriers]
        for holder in (subgraph, *subgraph.operators):
            for field in ("inputs", "outputs", "intermediates"):
                if getattr(holder, field, None) is not None:
                    indices = [place[int(index)] for index in getattr(holder, field)]
                    setattr(holder, field, np.array(indices, np.int32))
        for signature in model.signatureDefs or ():
            if signature.subgraphIndex == subgraph_index:
                for tensor in (*(signature.inputs or ()), *(signature.outputs or ())):
                    tensor.tensorIndex = place[tensor.tensorIndex]
    _drop_unused_codes(model)


def _drop_unused_codes(model: schema.ModelT) -> None:
    operators = [operator for subgraph in model.subgraphs for operator in subgraph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _is_barrier(
    model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT
) -> bool:
    code = model.operatorCodes[operator.opcodeIndex]
    if flatbuffer.builtin(code) != schema.BuiltinOperator.MINIMUM:
        return False
    limit = subgraph.tensors[operator.inputs[1]]
    data = model.buffers[limit.buffer].data
    return data is not None and bytes(data) == FOLDING_BARRIER.tobytes()
