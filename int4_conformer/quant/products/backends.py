"""Which backend multiplies fastest: a measured table per device kind and shape.

`backends.json` holds rows `{"rows", "width", "columns", "ms": {backend: milliseconds}}` by device
kind ("cpu", "gpu", "tpu"), written by `benchmarks/quant_ops.py --write_table`. A shape takes the
fastest backend of the measured shape nearest to it.
"""

import functools
import importlib.resources
import json
import math
from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf

from int4_conformer.quant.context import Table, context
from int4_conformer.quant.spec.quant_config import Backend


@functools.cache
def measured_table() -> Table:
    """The table that comes with the package."""
    return json.loads(importlib.resources.files(__package__).joinpath("backends.json").read_text())


def device_kind() -> str:
    """ "tpu", "gpu" or "cpu": the fastest kind that TensorFlow sees."""
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    return next(kind for kind in ("tpu", "gpu", "cpu") if kind == "cpu" or kind.upper() in kinds)


def fastest(
    rows: int, width: int, columns: int, allowed: Collection[Backend], kind: str | None = None
) -> Backend:
    """The fastest of the allowed backends for a product of [rows, width] by [width, columns].

    A device kind that nobody measured takes the first allowed of `xla`, `exact_float`, `native`.
    """
    table = measured_table() if context().table is None else context().table
    timings = [row for row in table.get(kind or device_kind(), ()) if allowed & row["ms"].keys()]
    if not timings:
        return next(backend for backend in ("xla", "exact_float", "native") if backend in allowed)

    def distance(row: Mapping[str, Any]) -> float:
        return sum(
            abs(math.log(max(1, size) / row[axis]))
            for axis, size in (("rows", rows), ("width", width), ("columns", columns))
        )

    milliseconds = min(timings, key=distance)["ms"]
    return min(allowed & milliseconds.keys(), key=milliseconds.__getitem__)
