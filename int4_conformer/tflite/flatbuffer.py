"""Reading a TFLite file: its constants, its operators and its metadata entries.

Only the schema is used, no interpreter, so that a file can be looked at that the interpreter would
refuse, and before the interpreter trusts it.
"""

import contextlib
import dataclasses
import math
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError
from int4_conformer.quant.numerics import pack

_IDENTIFIER = b"TFL3"  # At bytes 4..7 of every TFLite file.

_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A tensor whose values are in the file."""

    name: str
    shape: tuple[int, ...]
    # The schema's type in lower case: "float32", "int2", "int4", "int8", "int32", ...
    dtype: str
    # uint8 [nbytes], a view of the file: the values as stored, int4 codes two a byte, int2 four.
    data: np.ndarray = dataclasses.field(repr=False)
    # float32 [channels], or [channels, blocks]; None where the tensor is not quantized.
    scale: np.ndarray | None = dataclasses.field(repr=False)
    # int64 [channels], or None where the tensor is not quantized or blockwise.
    zero_point: np.ndarray | None = dataclasses.field(repr=False)
    # The axis of `shape` along which `scale` runs.
    quantized_dimension: int
    # Index into the file's buffers, which tensors may share.
    buffer: int
    # Indices into the file's subgraphs and the subgraph's tensors.
    subgraph: int
    tensor: int
    # Values of the last axis that share a scale, where `scale` is [channels, blocks].
    block: int | None = None
    # Whether the values are the block scales of another constant.
    is_scale: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.data.size

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def values(self) -> np.ndarray:
        """The values in `shape`: int4 and int2 as int8 codes, other types in the NumPy type of
        their name.

        Raises:
          UserError: NumPy has no such type, or the data do not fill the shape.
        """
        if self.dtype in ("int2", "int4"):
            return pack.unpack_codes(self.data, self.shape, int(self.dtype[3:]))
        try:
            return self.data.view(self.dtype).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"The constant {self.name!r} cannot be read as {self.dtype} {list(self.shape)} "
                f"from {self.nbytes} bytes; export the model again."
            ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """A node of a subgraph."""

    # The schema's name, such as "FULLY_CONNECTED", or a custom operator's own.
    name: str
    subgraph: int
    # Indices into the subgraph's tensors; -1 stands for an optional input left out.
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_file(path: str | os.PathLike) -> bytes:
    """The content of a model file.

    Raises:
      UserError: there is no such file, it cannot be read, or it is no TFLite model.
    """
    if os.path.isdir(path):
        raise UserError(_about_folder(Path(path)))
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"The model file {path} cannot be read ({error.strerror}); check the path."
        ) from error
    _require_identifier(content, str(path))
    return content


def load(content: bytes, source: str = "the model") -> schema.ModelT:
    """Parses a TFLite file.

    Buffers may be stored in the flatbuffer or, in large files, behind it. In the result there is no
    difference: each buffer's `data` is uint8 `[size]`, a view of `content`, or None where empty.

    Args:
      content: the whole file.
      source: what errors call it, such as its path.

    Raises:
      UserError: `content` is no TFLite model, is truncated or is damaged beyond reading.
    """
    _require_identifier(content, source)
    bounded = _BoundedBytes(content)
    with damage_told(source):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bounded, 0))
        for buffer in model.buffers:
            buffer.data = _buffer_data(bounded, buffer.data, buffer.offset, buffer.size)
            buffer.offset = buffer.size = 0
    return model


def constants(model: schema.ModelT) -> Iterator[Constant]:
    """The constant tensors of every subgraph, in file order; a shared buffer's once per tensor."""
    for subgraph_index, subgraph in enumerate(model.subgraphs):
        scales = set(map(block_scales, subgraph.tensors))
        for index, tensor in enumerate(subgraph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is None or data.size == 0:
                continue
            scale, zero_point, quantized_dimension, block = _quantization(model, subgraph, tensor)
            yield Constant(
                name=tensor.name.decode(),
                shape=() if tensor.shape is None else tuple(int(side) for side in tensor.shape),
                dtype=type_name(tensor),
                data=data,
                scale=scale,
                zero_point=zero_point,
                quantized_dimension=quantized_dimension,
                buffer=int(tensor.buffer),
                subgraph=subgraph_index,
                tensor=index,
                block=block,
                is_scale=index in scales,
            )


def operators(model: schema.ModelT) -> Iterator[Operator]:
    """The operators of every subgraph, in the order of execution."""
    for subgraph_index, subgraph in enumerate(model.subgraphs):
        for operator in subgraph.operators or ():
            code = model.operatorCodes[operator.opcodeIndex]
            custom = builtin(code) == schema.BuiltinOperator.CUSTOM
            yield Operator(
                name=code.customCode.decode() if custom else OPERATOR_NAMES[builtin(code)],
                subgraph=subgraph_index,
                inputs=_indices(operator.inputs),
                outputs=_indices(operator.outputs),
            )


def type_name(tensor: schema.TensorT) -> str:
    """The schema's type in lower case: "float32", "int4", ..."""
    return _TYPE_NAMES[tensor.type]


def builtin(code: schema.OperatorCodeT) -> int:
    """The `schema.BuiltinOperator` of an operator code."""
    # Old files hold it in the deprecated field alone, new ones both up to 127.
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def block_scales(tensor: schema.TensorT) -> int | None:
    """The index of the tensor with the scales of a blockwise one, None for others."""
    details = tensor.quantization and tensor.quantization.details
    return details.scales if isinstance(details, schema.BlockwiseQuantizationT) else None


def metadata(content: bytes, name: str, source: str = "the model") -> bytes | None:
    """The metadata entry `name` of a TFLite file, or None; nothing else of the file is parsed.

    Raises:
      UserError: as `load`.
    """
    _require_identifier(content, source)
    with damage_told(source):
        model = schema.Model.GetRootAs(content, 0)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == name.encode():
                buffer = model.Buffers(entry.Buffer())
                inline = None if buffer.DataIsNone() else buffer.DataAsNumpy()
                data = _buffer_data(content, inline, buffer.Offset(), buffer.Size())
                return data.tobytes()
    return None


@contextlib.contextmanager
def damage_told(source: str) -> Iterator[None]:
    """Within this context, a file is read by what follows its offsets unchecked, as the generated
    parser does: damage surfaces as any exception, and leaves as `damaged`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise damaged(source) from error


class _BoundedBytes(bytes):
    """Bytes whose slices may not run past the end: the parser would silently shorten strings."""

    def __getitem__(self, key: slice) -> bytes:
        if key.stop > len(self):
            raise IndexError(f"slice to {key.stop} of {len(self)} bytes")
        return super().__getitem__(key)


def _quantization(
    model: schema.ModelT, subgraph: schema.SubGraphT, tensor: schema.TensorT
) -> tuple[np.ndarray | None, np.ndarray | None, int, int | None]:
    """Scales, zero points, their axis and the size of a block."""
    quantization = tensor.quantization
    scales = block_scales(tensor)
    if scales is not None:
        stored = subgraph.tensors[scales]
        values = model.buffers[stored.buffer].data.view(np.float16).astype(np.float32)
        block = quantization.details.blockSize
        return values.reshape(stored.shape), None, quantization.quantizedDimension, block
    if quantization is None or quantization.scale is None:
        return None, None, 0, None
    scale = np.asarray(quantization.scale, np.float32)
    zero_point = np.asarray(quantization.zeroPoint, np.int64)
    return scale, zero_point, quantization.quantizedDimension, None


def _buffer_data(
    content: bytes, inline: np.ndarray | None, offset: int, size: int
) -> np.ndarray | None:
    # An offset of 0 or 1 is the schema's mark that there is none.
    if offset > 1:
        return np.frombuffer(content, np.uint8, size, offset)
    return inline


def _indices(tensors: np.ndarray | None) -> tuple[int, ...]:
    return () if tensors is None else tuple(int(index) for index in tensors)


def _about_folder(path: Path) -> str:
    """What to do with a folder that was given for a file."""
    if (path / "checkpoints").is_dir():
        command = f"int4-conformer export {shlex.quote(str(path))} --output=model.tflite"
        return f"{path} is a training folder; make a file of it first: {command}"
    if (path / "saved_model.pb").is_file():
        return f"{path} is a SavedModel, which TensorFlow runs; export a .tflite file as well."
    return f"{path} is a folder; give a .tflite file."


def _require_identifier(content: bytes, source: str) -> None:
    if content[4:8] != _IDENTIFIER:
        raise UserError(
            f"{source} is not a TFLite model (its bytes 4 to 7 are {bytes(content[4:8])!r}, not "
            f"{_IDENTIFIER!r}); give a .tflite file."
        )


def damaged(source: str, reason: str = "") -> UserError:
    """What is raised where a file cannot be what was written.

    Args:
      source: what the error calls it, such as its path.
      reason: what is wrong with it, in some words.
    """
    because = f" ({reason})" if reason else ""
    return UserError(
        f"{source} is a truncated or damaged TFLite model{because}; copy or export the file again."
    )
