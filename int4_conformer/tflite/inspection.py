"""What a `.tflite` file holds, to the byte: its constants, their scales, and all around them."""

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tables import columns, smaller
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite import metadata as metadata_lib
from int4_conformer.tflite.flatbuffer import Constant
from int4_conformer.tflite.metadata import Metadata
from int4_conformer.tflite.operator_versions import required_runtime, runtimes_text
from int4_conformer.tflite.validation import require_valid

# The types of weights; int32, int64 and bool constants are shapes, axes and indices, unless they
# have a scale.
_WEIGHT_DTYPES = frozenset({"float32", "float16", "bfloat16", "int8", "int4", "int2"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DtypeTotal:
    """The constants of one type and use together."""

    # "weights"; "constants": shapes, axes and indices; "scales": of blocks of weights.
    use: str
    dtype: str
    tensors: int
    values: int
    nbytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of `inspect_tflite`."""

    path: str
    total_bytes: int
    # Each constant once; where tensors share a buffer, the first of them.
    tensors: tuple[Constant, ...] = dataclasses.field(repr=False)
    # How often each operator occurs.
    operators: dict[str, int] = dataclasses.field(repr=False)
    # None for a file that is not a recogniser of this package.
    metadata: Metadata | None = dataclasses.field(repr=False)
    # The first TensorFlow Lite that has the operators; None if the file does not say it.
    runtime: str | None
    # Scales and zero points of all tensors; what several share is counted once.
    quantization_bytes: int
    # What the entries of the file's metadata hold, those of others included.
    metadata_bytes: int

    @property
    def parameters(self) -> int:
        """Number of weights: the values of float and of quantized constants, scales aside."""
        return sum(tensor.size for tensor in self.tensors if _use(tensor) == "weights")

    @property
    def structure_bytes(self) -> int:
        """All else: operators, and the tensors' names and shapes, of each signature."""
        held = sum(total.nbytes for total in self.totals)
        return self.total_bytes - held - self.quantization_bytes - self.metadata_bytes

    @property
    def totals(self) -> tuple[DtypeTotal, ...]:
        """Per use and type, weights first, and the most bytes first."""
        groups = collections.defaultdict(list)
        for tensor in self.tensors:
            groups[_use(tensor), tensor.dtype].append(tensor)
        totals = [
            DtypeTotal(
                use=use,
                dtype=dtype,
                tensors=len(group),
                values=sum(tensor.size for tensor in group),
                nbytes=sum(tensor.nbytes for tensor in group),
            )
            for (use, dtype), group in groups.items()
        ]
        return tuple(sorted(totals, key=lambda total: (total.use != "weights", -total.nbytes)))

    @property
    def ratio_to_float32(self) -> float:
        """How many times smaller the whole file is than its weights alone in float32."""
        return 4 * self.parameters / self.total_bytes

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return {
            "path": self.path,
            "total_bytes": self.total_bytes,
            "parameters": self.parameters,
            "ratio_to_float32": self.ratio_to_float32,
            "recipe": self.metadata.recipe if self.metadata else None,
            "runtime": self.runtime,
            "totals": [dataclasses.asdict(total) for total in self.totals],
            "quantization_bytes": self.quantization_bytes,
            "metadata_bytes": self.metadata_bytes,
            "structure_bytes": self.structure_bytes,
            "operators": self.operators,
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.shape),
                    "dtype": tensor.dtype,
                    "bytes": tensor.nbytes,
                }
                for tensor in self.tensors
            ],
        }

    def table(self) -> str:
        """Text for people: a summary, what the bytes are for, and the tensors, largest first."""
        recipe = f", recipe {self.metadata.recipe}" if self.metadata else ""
        needs = f"\nneeds {runtimes_text(self.runtime)}" if self.runtime else ""
        held = [
            (
                f"{total.use}, {total.dtype}",
                f"{total.tensors:,}",
                f"{total.values:,}",
                f"{total.nbytes:,}",
            )
            for total in self.totals
        ]
        for name, nbytes in (
            ("scales and zero points", self.quantization_bytes),
            ("metadata", self.metadata_bytes),
            ("operators, names, shapes", self.structure_bytes),
            ("the file", self.total_bytes),
        ):
            held.append((name, "", "", f"{nbytes:,}"))
        tensors = [
            (tensor.dtype, str(list(tensor.shape)), f"{tensor.nbytes:,}", tensor.name)
            for tensor in sorted(self.tensors, key=lambda tensor: -tensor.nbytes)
        ]
        return "\n\n".join(
            [
                f"{self.path}{recipe}\n"
                f"{self.total_bytes:,} bytes, {self.parameters:,} parameters, "
                f"{smaller(self.ratio_to_float32)} than these in float32{needs}",
                columns(("what", "tensors", "values", "bytes"), held, "<>>>"),
                columns(("dtype", "shape", "bytes", "tensor"), tensors, "<<><"),
            ]
        )


def inspect_tflite(path: str | os.PathLike) -> Inspection:
    """Takes stock of any `.tflite` file, and verifies checksum and structure of one of this
    package's.

    Raises:
      UserError: the file is missing, is no TFLite model, or is damaged.
    """
    content = flatbuffer.read_file(path)
    metadata = metadata_lib.find(content, str(path))
    if metadata is not None:
        require_valid(content, str(path))
    with flatbuffer.damage_told(str(path)):
        return _inspection(str(path), content, metadata)


def _inspection(path: str, content: bytes, metadata: Metadata | None) -> Inspection:
    model = flatbuffer.load(content, path)
    by_buffer: dict[int, Constant] = {}
    for constant in flatbuffer.constants(model):
        by_buffer.setdefault(constant.buffer, constant)
    return Inspection(
        path=path,
        total_bytes=len(content),
        tensors=tuple(by_buffer.values()),
        operators=dict(
            collections.Counter(operator.name for operator in flatbuffer.operators(model))
        ),
        metadata=metadata,
        runtime=required_runtime(content, path),
        quantization_bytes=_nbytes(_quantization(model)),
        metadata_bytes=_nbytes(
            model.buffers[entry.buffer].data
            for entry in model.metadata or ()
            if model.buffers[entry.buffer].data is not None
        ),
    )


def _use(tensor: Constant) -> str:
    if tensor.is_scale:
        return "scales"
    is_weight = tensor.dtype in _WEIGHT_DTYPES or tensor.scale is not None
    return "weights" if is_weight else "constants"


def _quantization(model: schema.ModelT) -> Iterator[np.ndarray]:
    """The vectors that say how tensors are quantized."""
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if (found := tensor.quantization) is not None:
                vectors = (found.scale, found.zeroPoint, found.min, found.max)
                yield from (vector for vector in vectors if vector is not None)


def _nbytes(arrays: Iterable[np.ndarray]) -> int:
    """Bytes of views of the file, those of the same place counted once."""
    places = {a.__array_interface__["data"][0]: a.nbytes for a in arrays if a.size}
    return sum(places.values())
