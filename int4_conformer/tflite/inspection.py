"""What a `.tflite` file holds: its constants, their types, and what they cost."""

import collections
import dataclasses
import os
from typing import Any

from int4_conformer.tables import columns
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite import metadata as metadata_lib
from int4_conformer.tflite.flatbuffer import Constant
from int4_conformer.tflite.metadata import Metadata
from int4_conformer.tflite.operator_versions import required_runtime

# The types of weights; int32, int64 and bool constants are shapes, axes and indices, unless they
# have a scale.
_WEIGHT_DTYPES = frozenset({"float32", "float16", "bfloat16", "int8", "int4", "int2"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DtypeTotal:
    """The constants of one type together."""

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

    @property
    def parameters(self) -> int:
        """Number of weights: the values of float and of quantized constants, scales aside."""
        return sum(
            tensor.size
            for tensor in self.tensors
            if (tensor.dtype in _WEIGHT_DTYPES or tensor.scale is not None) and not tensor.is_scale
        )

    @property
    def totals(self) -> tuple[DtypeTotal, ...]:
        """Per type, the most bytes first."""
        groups = collections.defaultdict(list)
        for tensor in self.tensors:
            groups[tensor.dtype].append(tensor)
        totals = [
            DtypeTotal(
                dtype=dtype,
                tensors=len(group),
                values=sum(tensor.size for tensor in group),
                nbytes=sum(tensor.nbytes for tensor in group),
            )
            for dtype, group in groups.items()
        ]
        return tuple(sorted(totals, key=lambda total: -total.nbytes))

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
        """Text for people: a summary, the totals per type, and the tensors, largest first."""
        recipe = f", recipe {self.metadata.recipe}" if self.metadata else ""
        needs = (
            f"\nneeds TensorFlow Lite {self.runtime} or later, or LiteRT" if self.runtime else ""
        )
        totals = [
            (total.dtype, f"{total.tensors:,}", f"{total.values:,}", f"{total.nbytes:,}")
            for total in self.totals
        ]
        tensors = [
            (tensor.dtype, str(list(tensor.shape)), f"{tensor.nbytes:,}", tensor.name)
            for tensor in sorted(self.tensors, key=lambda tensor: -tensor.nbytes)
        ]
        return "\n\n".join(
            [
                f"{self.path}{recipe}\n"
                f"{self.total_bytes:,} bytes, {self.parameters:,} parameters, "
                f"{self.ratio_to_float32:.2f}x smaller than float32{needs}",
                columns(("dtype", "tensors", "values", "bytes"), totals, "<>>>"),
                columns(("dtype", "shape", "bytes", "tensor"), tensors, "<<><"),
            ]
        )


def inspect_tflite(path: str | os.PathLike) -> Inspection:
    """Takes stock of any `.tflite` file, and verifies the checksum of one of this package's.

    Raises:
      UserError: the file is missing, is no TFLite model, or is damaged.
    """
    content = flatbuffer.read_file(path)
    metadata = metadata_lib.find(content, str(path))
    model = flatbuffer.load(content, str(path))
    by_buffer: dict[int, Constant] = {}
    for constant in flatbuffer.constants(model):
        by_buffer.setdefault(constant.buffer, constant)
    return Inspection(
        path=str(path),
        total_bytes=len(content),
        tensors=tuple(by_buffer.values()),
        operators=dict(
            collections.Counter(operator.name for operator in flatbuffer.operators(model))
        ),
        metadata=metadata,
        runtime=required_runtime(content, str(path)),
    )
