"""The tables of a flatbuffer, many at once: one pass of NumPy reads a field of all of them.

A large file has tens of thousands of tables, each of which a generated parser reads by dozens of
calls. Nothing here trusts the file: what lies outside of it raises `OutsideError`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

_OFFSET = np.dtype("<u4")
# Bytes at the start of a table's list of fields: its own size and the table's.
_HEADER = 4


class OutsideError(ValueError):
    """A part of a flatbuffer would lie outside of it."""


class Vectors:
    """The vectors that a field of some tables holds, one behind the other.

    Args:
        content: uint8, the whole flatbuffer.
        starts: int64 [vectors], where their first elements are.
        lengths: int64 [vectors].
        size: bytes of an element.
    """

    def __init__(self, content: np.ndarray, starts: np.ndarray, lengths: np.ndarray, size: int):
        _require_inside(content, starts, lengths * size)
        # Each part has bytes of its own. If many shared some, a small file would come to more than
        # there is memory for.
        if lengths.sum() * size > content.size:
            raise OutsideError("parts of the file lie in each other")
        self._content = content
        self.starts = starts
        self.lengths = lengths
        self._size = size
        # Of each vector, among the elements of all.
        self.firsts = np.cumsum(lengths) - lengths

    def part(self, elements: np.ndarray, index: int) -> np.ndarray:
        """Of something for each element, that of one vector."""
        return elements[self.firsts[index] : self.firsts[index] + self.lengths[index]]

    def positions(self) -> np.ndarray:
        """int64: where each element of each vector is."""
        index = np.arange(self.lengths.sum()) - np.repeat(self.firsts, self.lengths)
        return np.repeat(self.starts, self.lengths) + self._size * index

    def owners(self) -> np.ndarray:
        """int64: which vector each element is of."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def values(self, dtype: Any) -> np.ndarray:
        """Elements that are numbers."""
        return read(self._content, self.positions(), dtype)

    def tables(self) -> "Tables":
        """Elements that are tables."""
        return Tables(self._content, _targets(self._content, self.positions()))

    def texts(self) -> Iterator[bytes]:
        """Vectors that are strings."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield self._content[start : start + length].tobytes()


class Tables:
    """Tables of one kind.

    Args:
        content: uint8, the whole flatbuffer.
        positions: int64 [tables], where they begin.
    """

    def __init__(self, content: np.ndarray, positions: np.ndarray):
        self._content = content
        self._positions = positions
        self._fields = positions - read(content, positions, "<i4")
        self._sizes = read(content, self._fields, "<u2").astype(np.int64)
        _require_inside(content, self._fields, self._sizes)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, which: np.ndarray | slice) -> "Tables":
        """Some of them."""
        return Tables(self._content, self._positions[which])

    def places(self, field: int) -> np.ndarray:
        """int64 [tables]: where a field is, or 0 in a table that lacks it."""
        entry = _HEADER + 2 * field
        held = np.flatnonzero(self._sizes >= entry + 2)
        places = np.zeros(len(self), np.int64)
        offsets = read(self._content, self._fields[held] + entry, "<u2").astype(np.int64)
        places[held] = np.where(offsets > 0, self._positions[held] + offsets, 0)
        return places

    def numbers(self, field: int, dtype: Any, default: int = 0) -> np.ndarray:
        """[tables]: a field that is a number."""
        places = self.places(field)
        held = np.flatnonzero(places)
        values = np.full(len(self), default, np.dtype(dtype).newbyteorder("="))
        values[held] = read(self._content, places[held], dtype)
        return values

    def holders(self, field: int) -> np.ndarray:
        """int64: which of the tables have a field."""
        return np.flatnonzero(self.places(field))

    def parts(self, field: int) -> "Tables":
        """The tables in a field, of its `holders`."""
        places = self.places(field)
        return Tables(self._content, _targets(self._content, places[places > 0]))

    def vectors(self, field: int, size: int) -> Vectors:
        """[tables]: a field that is a vector, or a string; an empty one where there is none.

        Args:
            size: bytes of an element; 4 of tables.
        """
        places = self.places(field)
        held = np.flatnonzero(places)
        starts, lengths = np.zeros([2, len(self)], np.int64)
        targets = _targets(self._content, places[held])
        lengths[held] = read(self._content, targets, _OFFSET)
        starts[held] = targets + _OFFSET.itemsize
        return Vectors(self._content, starts, lengths, size)


def root(content: bytes) -> Tables:
    """The one table from which all others are reached."""
    array = np.frombuffer(content, np.uint8)
    return Tables(array, _targets(array, np.zeros(1, np.int64)))


def read(content: np.ndarray, positions: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers at positions that need not be aligned."""
    dtype = np.dtype(dtype)
    _require_inside(content, positions, dtype.itemsize)
    parts = content[positions[:, None] + np.arange(dtype.itemsize)]
    return parts.view(dtype)[:, 0]


def _targets(content: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Where offsets at positions point to."""
    return positions + read(content, positions, _OFFSET)


def _require_inside(content: np.ndarray, starts: np.ndarray, sizes: np.ndarray | int) -> None:
    if starts.size and (starts.min() < 0 or np.max(starts + sizes) > content.size):
        raise OutsideError("a part of the file lies outside of it")
