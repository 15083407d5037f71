"""Stretches of a file, and bytes of one's own between them, read as one file."""

import bisect
import dataclasses
import io
import itertools
import os
from collections.abc import Sequence
from typing import BinaryIO


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Bytes of a file from a place to another."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class SplicedFile(io.RawIOBase):
    """Pieces of a file, one behind the other; nothing of it is held in memory.

    Args:
        file: open to be read, as long as this is.
        pieces: stretches of it, and other bytes.

    Example:

        >>> file = io.BytesIO(b"a lucky day")
        >>> SplicedFile(file, [Stretch(0, 2), b"rainy", Stretch(7, 11)]).read()
        b'a rainy day'
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[Stretch | bytes]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        # Where each piece begins, and where the last one ends.
        self._begins = [0, *itertools.accumulate(map(len, self._pieces))]
        self._place = 0

    def again(self) -> "SplicedFile":
        """The same file from its start, with a place of its own."""
        return SplicedFile(self._file, self._pieces)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._begins[-1]}
        self._place = max(0, origin[whence] + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        view, count = memoryview(buffer), 0
        number = bisect.bisect_right(self._begins, self._place) - 1
        while count < len(view) and number < len(self._pieces):
            piece, skipped = self._pieces[number], self._place - self._begins[number]
            wanted = min(len(view) - count, len(piece) - skipped)
            if isinstance(piece, Stretch):
                self._file.seek(piece.start + skipped)
                came = self._file.readinto(view[count : count + wanted])
            else:
                view[count : count + wanted] = piece[skipped : skipped + wanted]
                came = wanted
            count, self._place = count + came, self._place + came
            if came < wanted:
                # The file has become shorter.
                break
            number += 1
        return count
