"""Names of tensors: each of its own, so that other tools tell them apart, and short."""

import collections
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer

# Values of a constant that it is recognised by.
_SAMPLES = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How a constant holds a float weight."""

    # Axes of the weight from here on are the constant's first, as one; 0: the axes are as they are.
    axis: int = 0
    # The constant is the weight times two to the power of it.
    exponent: int = 0

    def weight(self, constant: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """float32 of the weight's shape, of the constant's values."""
        values = np.ldexp(constant.reshape(-1), -self.exponent)
        if self.axis:
            inputs = np.prod(shape[: self.axis], dtype=int)
            values = values.reshape(-1, inputs).T
        return values.reshape(shape)


def name_constants(model: schema.ModelT, weights: Mapping[str, np.ndarray]) -> None:
    """Names float constants after the weights that they hold, in whichever layout, and times the
    power of two that the converter may have folded into them; or after the rows of a weight that
    they hold, one constant after the other, as `part_name` has it.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        weights: float32, by path. Of those that are alike, none is named.
    """
    constants = []
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            data = model.buffers[tensor.buffer].data
            if tensor.type == schema.TensorType.FLOAT32 and data is not None:
                constants.append((tensor, np.asarray(data).view(np.float32)))
    paths = collections.defaultdict(set)
    for path, weight in weights.items():
        for _, layout in _layouts(weight):
            paths[_fingerprint(layout)].add(path)
    in_parts = dict(weights)
    for tensor, values in constants:
        alike = paths.get(_fingerprint(values), ())
        if len(alike) == 1:
            path = next(iter(alike))
            tensor.name = path.encode()
            in_parts.pop(path, None)
    for path, weight in in_parts.items():
        for number, tensors in enumerate(_parts(weight, constants)):
            for tensor in tensors:
                tensor.name = part_name(path, number).encode()


def part_name(path: str, number: int) -> str:
    """What the constant is called that holds some rows of a weight."""
    return f"{path}/part_{number}"


def all_alike(weight: np.ndarray) -> bool:
    """Whether there are values, and all are the same."""
    return bool(weight.size and (weight == weight.flat[0]).all())


def layout_of(constant: np.ndarray, weight: np.ndarray) -> Layout | None:
    """How a float constant holds a weight, to the bit; None if it does not."""
    values = constant.reshape(-1)
    if values.size != weight.size:
        return None
    largest = np.abs(weight).max(initial=0)
    factor = np.abs(values).max(initial=0) / largest if largest > 0 else np.float32(1)
    fraction, exponent = np.frexp(factor)
    if fraction != 0.5:
        return None
    for axis, layout in _layouts(weight):
        if np.array_equal(values, factor * layout.reshape(-1)):
            return Layout(axis=axis, exponent=int(exponent) - 1)
    return None


def name_tensors(model: schema.ModelT, weights: Collection[str]) -> None:
    """Names all tensors but the inputs that callers know by name.

    A constant keeps its name; what is made with a weight is called as the weight's layer, and
    anything else as the operator that makes it: `encoder/block_0/ffn_start/up`, `mul`. Further ones
    of a name are told apart by a number: `mul@1`.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        weights: paths of weights.
    """
    names = collections.Counter()
    kept = set(model.subgraphs[0].inputs)
    names.update(model.subgraphs[0].tensors[index].name.decode() for index in kept)
    operators = collections.defaultdict(list)
    for operator in flatbuffer.operators(model):
        operators[operator.subgraph].append(operator)
    for number, subgraph in enumerate(model.subgraphs):
        made = {}
        for operator in operators[number]:
            inputs = [subgraph.tensors[i].name.decode().partition("@")[0] for i in operator.inputs]
            layers = [path.rpartition("/")[0] for path in inputs if path in weights]
            name = next(filter(None, layers), operator.name.lower())
            made |= dict.fromkeys(operator.outputs, name)
        for index, tensor in enumerate(subgraph.tensors):
            if number == 0 and index in kept:
                continue
            name = made.get(index) or tensor.name.decode().partition("@")[0] or "input"
            tensor.name = (f"{name}@{names[name]}" if names[name] else name).encode()
            names[name] += 1


def _layouts(weight: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """A weight as it is, and with the axes of its outputs, those from some axis on, first."""
    yield 0, weight
    for axis in range(1, weight.ndim):
        yield axis, weight.reshape(np.prod(weight.shape[:axis]), -1).T


def _parts(
    weight: np.ndarray, constants: Sequence[tuple[schema.TensorT, np.ndarray]]
) -> list[list[schema.TensorT]]:
    """Constants whose rows are those of a weight, if set below each other, and all that are like
    them; empty if there are none."""
    # Values that are all alike are those of any rows.
    if weight.ndim < 2 or not weight.size or all_alike(weight):
        return []
    row = weight[0].size
    rest, parts = weight.reshape(-1), []
    while rest.size:
        fitting = [
            (values.size, tensor)
            for tensor, values in constants
            if 0 < values.size <= rest.size
            and values.size % row == 0
            and np.array_equal(values, rest[: values.size])
        ]
        if not fitting:
            return []
        size = max(size for size, _ in fitting)
        parts.append([tensor for other, tensor in fitting if other == size])
        rest = rest[size:]
    return parts


def _fingerprint(values: np.ndarray) -> tuple[int, bytes]:
    """Number of values, and some of them in units of their largest."""
    flat = values.reshape(-1)
    samples = flat[:: max(1, flat.size // _SAMPLES)]
    largest = np.abs(samples).max(initial=0)
    return flat.size, (samples / largest if largest > 0 else samples).tobytes()
