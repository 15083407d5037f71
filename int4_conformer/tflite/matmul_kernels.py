"""Whether matmuls with integer weights ran on integer kernels, by LiteRT's own profile."""

import collections
import re

from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer

_WEIGHT = 1
_MATMUL = "FULLY_CONNECTED"
# XNNPACK's operators, by the type of weight: rows that are quantized as they come (QD8; QP8 and
# QDU8 are forms of it that some CPUs have), or that are integers in the file (QS8).
_KERNELS = {
    "int2": r"Fully Connected \(NC, (Q[DP]U?8, F32|P?QS8), QC2W\)",
    "int4": r"Fully Connected \(NC, (Q[DP]U?8, F32|P?QS8), QC4W\)",
    "int4 in blocks": r"Fully Connected \(NC, Q[DP]U?8, (F32|BF16), QB4W\)",
    "int8": r"Fully Connected \(NC, (Q[DP]U?8, F32|P?QS8), QC8W\)",
}


def integer_matmuls(model: schema.ModelT) -> dict[int, collections.Counter[str]]:
    """How many matmuls by integer weights each subgraph has, by the type of the weight.

    Args:
        model: as `flatbuffer.load` gives it.
    """
    found = collections.defaultdict(collections.Counter)
    for operator in flatbuffer.operators(model):
        if operator.name == _MATMUL:
            weight = model.subgraphs[operator.subgraph].tensors[operator.inputs[_WEIGHT]]
            if (kind := _kind(weight)) is not None:
                found[operator.subgraph][kind] += 1
    return dict(found)


def on_integer_kernels(
    matmuls: dict[int, collections.Counter[str]],
    kernels: dict[int, collections.Counter[str]],
    delegate: str,
) -> collections.Counter[str]:
    """How many of the matmuls ran, by the kernel that was seen to run them; those on no integer
    kernel are counted under FULLY_CONNECTED, or under "none".

    The profile tells how often each kernel ran for a subgraph, not for which operator. But a kernel
    of 4-bit weights takes nothing else, so that all of a kind ran on it if it ran as often as there
    are matmuls of the kind, times the rounds if the subgraph is the body of a loop.

    Args:
        matmuls: of a file, as `integer_matmuls` counts them.
        kernels: of a run, as `Profile.kernels`; matmuls of other subgraphs are not counted.
        delegate: whose kernels should have run: of the builtin ones, FULLY_CONNECTED is the one.
    """
    found = collections.Counter()
    for subgraph, kinds in matmuls.items():
        ran = kernels.get(subgraph)
        if not ran:
            continue
        if delegate == "none":
            found[_MATMUL] += sum(kinds.values())
            continue
        seen = {kind: _of_kind(ran, kind) for kind in kinds}
        rounds = {sum(seen[kind].values()) / count for kind, count in kinds.items()}
        whole = len(rounds) == 1 and min(rounds) >= 1 and min(rounds).is_integer()
        for kind, count in kinds.items():
            names = sorted(seen[kind])
            missing = _MATMUL if ran[_MATMUL] else "none"
            found[" or ".join(names) if whole and names else missing] += count
    return found


def _kind(weight: schema.TensorT) -> str | None:
    dtype = flatbuffer.type_name(weight)
    if dtype == "int4" and flatbuffer.block_scales(weight) is not None:
        return "int4 in blocks"
    return dtype if dtype in _KERNELS else None


def _of_kind(ran: collections.Counter[str], kind: str) -> collections.Counter[str]:
    """Kernels without the way in which they go through memory, such as GEMM."""
    found = collections.Counter()
    for name, count in ran.items():
        if match := re.match(_KERNELS[kind], name):
            found[match[0]] += count
    return found
