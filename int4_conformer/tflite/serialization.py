"""Writing a parsed TFLite file, what is alike in it only once.

Names aside, an operator and the tensor that it makes take a hundred bytes of a file, most of which
say what others say, too: shapes, options, scales of a weight that several subgraphs use. A
flatbuffer refers to such parts by offsets, which may lead to one place.
"""

import copy
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
# Values of at least so many bytes stand behind the flatbuffer, where their places are aligned, if
# there is much of them; a flatbuffer is kept below 2 GB.
_LARGE, _MUCH = 1024, 256 * 1024
_ALIGNMENT = 16


def serialize(model: schema.ModelT) -> bytes:
    """The content of a file.

    Args:
        model: as `flatbuffer.load` gives it, or with changes; it stays as it is.
    """
    model = _with_shared_options(model)
    values = [buffer.data for buffer in model.buffers]
    outside = [
        index for index, data in enumerate(values) if data is not None and len(data) >= _LARGE
    ]
    if sum(_aligned(len(values[index])) for index in outside) < _MUCH:
        return _packed(model)
    # An offset takes as many bytes whatever it is, if it is not 0.
    for index in outside:
        model.buffers[index] = schema.BufferT(offset=1, size=1)
    end = len(_packed(model))
    for index in outside:
        model.buffers[index] = schema.BufferT(offset=_aligned(end), size=len(values[index]))
        end = _aligned(end) + len(values[index])
    content = bytearray(end)
    head = _packed(model)
    content[: len(head)] = head
    for index in outside:
        start = model.buffers[index].offset
        content[start : start + len(values[index])] = np.asarray(values[index], np.uint8).tobytes()
    return bytes(content)


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors of numbers, and equal strings, once.

    The bytes of buffers are written for each, as `inspect_tflite` counts them.
    """

    def __init__(self) -> None:
        super().__init__(1 << 16)
        self.written: dict[Any, int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 (the library's name)
        if x.itemsize == 1:
            return super().CreateNumpyVector(x)
        key = x.itemsize, x.tobytes()
        if key not in self.written:
            self.written[key] = super().CreateNumpyVector(x)
        return self.written[key]

    def CreateString(self, s: Any, *encoding: str) -> int:  # noqa: N802 (the library's name)
        if s not in self.written:
            self.written[s] = super().CreateString(s, *encoding)
        return self.written[s]


class _Shared:
    """Options that operators have in common; they are written once in a flatbuffer."""

    def __init__(self, options: Any) -> None:
        self._options = options

    def Pack(self, builder: _SharingBuilder) -> int:  # noqa: N802 (the schema's name)
        if self not in builder.written:
            builder.written[self] = self._options.Pack(builder)
        return builder.written[self]


def _with_shared_options(model: schema.ModelT) -> schema.ModelT:
    """A copy whose operators have their options in common."""
    shared: dict[Any, _Shared] = {}

    def with_shared_options(operator: schema.OperatorT) -> schema.OperatorT:
        operator = copy.copy(operator)
        options = operator.builtinOptions
        if options is not None:
            fields = sorted(vars(options).items())
            key = type(options), tuple((name, np.array(value).tobytes()) for name, value in fields)
            operator.builtinOptions = shared.setdefault(key, _Shared(options))
        return operator

    model = copy.copy(model)
    model.buffers = list(model.buffers)
    model.subgraphs = [copy.copy(subgraph) for subgraph in model.subgraphs]
    for subgraph in model.subgraphs:
        subgraph.operators = list(map(with_shared_options, subgraph.operators or ()))
    return model


def _packed(model: schema.ModelT) -> bytes:
    builder = _SharingBuilder()
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT
