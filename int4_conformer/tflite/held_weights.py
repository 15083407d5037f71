"""The weights of a model in the file that was exported of it, to be read back.

A quantized weight is a constant of its name, codes and scales. A float one is a constant of its
name, with its values as they are; where that is not so, the file's metadata say in `weights` how it
is:

    {"encoder/up/kernel": {"axis": 1, "exponent": -1},     in another layout, times 2 ** exponent
     "encoder/depthwise_kernel": {"parts": 2},             in two constants, one below the other
     "encoder/up/bias": {"value": 0.0},                    in no constant: all values are alike
     "predictor/position_vectors": {"values": "AACAPw=="}} in none: float32 in base64
"""

import base64
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.tensor_names import Layout, all_alike, layout_of, part_name

# As they are.
_PLAIN = Layout()
_CODES = ("int2", "int4", "int8")


def other_places(
    model: schema.ModelT, weights: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """What metadata have to say of a model's float weights.

    Args:
        model: its constants have their names.
        weights: float32, by path.
    """
    constants = _by_name(model)
    places: dict[str, dict[str, Any]] = {}
    for path, weight in weights.items():
        constant = constants.get(path)
        layout = None if constant is None else layout_of(constant.values(), weight)
        if layout == _PLAIN:
            continue
        if layout is not None:
            places[path] = dataclasses.asdict(layout)
        elif all_alike(weight):
            places[path] = {"value": float(weight.flat[0])}
        elif parts := _parts(path, constants):
            places[path] = {"parts": len(parts)}
        else:
            content = weight.astype("<f4").tobytes()
            places[path] = {"values": base64.b64encode(content).decode("ascii")}
    return places


class HeldWeights:
    """Reads the weights of a file.

    Args:
        model: as `flatbuffer.load` gives it.
        places: `weights` of its metadata.
    """

    def __init__(self, model: schema.ModelT, places: Mapping[str, Mapping[str, Any]]):
        self._constants = _by_name(model)
        self._places = places

    def matrix(self, path: str) -> np.ndarray | None:
        """float32 [out, in], perhaps with zeros behind the last inputs: a matrix whose codes and
        scales by the maximum are those of the file, to the bit. None where the file has no codes
        of that name."""
        constant = self._constants.get(path)
        if constant is None or constant.dtype not in _CODES or constant.scale is None:
            return None
        return _master(constant.values(), constant.scale, constant.block)

    def weight(self, path: str, shape: Sequence[int]) -> np.ndarray | None:
        """float32 of a shape: a weight that the file has in float; None where it has not."""
        place = self._places.get(path, {})
        if "value" in place:
            return np.full(shape, place["value"], np.float32)
        if "values" in place:
            values = np.frombuffer(base64.b64decode(place["values"]), "<f4")
            return values.astype(np.float32).reshape(shape)
        if "parts" in place:
            parts = _parts(path, self._constants)
            if len(parts) != place["parts"] or sum(part.size for part in parts) != math.prod(shape):
                return None
            return np.concatenate([part.values().reshape(-1) for part in parts]).reshape(shape)
        constant = self._constants.get(path)
        if constant is None or constant.dtype != "float32" or constant.size != math.prod(shape):
            return None
        return Layout(**place).weight(constant.values(), shape)


def _parts(path: str, constants: Mapping[str, flatbuffer.Constant]) -> list[flatbuffer.Constant]:
    """The constants of a weight that is in several, in order."""
    found = (constants.get(part_name(path, number)) for number in itertools.count())
    return list(
        itertools.takewhile(lambda part: part is not None and part.dtype == "float32", found)
    )


def _by_name(model: schema.ModelT) -> dict[str, flatbuffer.Constant]:
    """The first constant of each name; further ones, as of other subgraphs, have a number."""
    found: dict[str, flatbuffer.Constant] = {}
    for constant in flatbuffer.constants(model):
        if not constant.is_scale:
            found.setdefault(constant.name.partition("@")[0], constant)
    return found


def _master(codes: np.ndarray, scale: np.ndarray, block: int | None) -> np.ndarray:
    """float32 [out, in] that quantizes to codes [out, in] and scales [out] or [out, in / block]."""
    scales = scale[:, None] if block is None else scale.repeat(block, axis=1)
    largest = np.float32(max(1, np.abs(codes).max(initial=0)))
    # A scale was max|w| / L, in float32: the maximum is L * scale, or a neighbour of that.
    most = product = largest * scales
    for end in (0, np.inf):
        neighbour = np.nextafter(product, np.float32(end))
        most = np.where(neighbour / largest == scales, neighbour, most)
    values = codes.astype(np.float32) * scales
    return np.where(np.abs(codes) == largest, np.sign(codes) * most, values).astype(np.float32)
