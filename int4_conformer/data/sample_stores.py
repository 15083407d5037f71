"""Where decoded samples are kept between one time that an utterance is drawn and the next."""

import dataclasses
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_beside

# By how much a length may differ from what is decoded: manifests round to a tenth of a second at
# the coarsest, and codecs pad.
TOLERANCE_SECONDS = 0.1
TOLERANCE_SHARE = 0.01

_BYTES_PER_SAMPLE = 2
# Of each utterance, what the file of samples holds: how many, 0 for none yet, and their checksum.
_KEPT = np.dtype([("length", "<i8"), ("crc", "<u4")])
# Of the space that is left on a disk, what a cache may take.
_SHARE_OF_DISK = 0.8


class SampleStore(Protocol):
    """Keeps int16 `[samples]` of utterances, by their places."""

    def get(self, place: int) -> np.ndarray | None:
        """The samples of one, or None if they are not there."""

    def put(self, place: int, pcm: np.ndarray) -> None:
        """Takes the samples of one."""

    def at(self, places: np.ndarray) -> "SampleStore":
        """A store of some of them alone; -1 for what it is never to keep."""


@dataclasses.dataclass(frozen=True)
class Held:
    """All in memory, as they were decoded.

    Args:
        samples: of each utterance.
    """

    samples: Sequence[np.ndarray]

    def get(self, place: int) -> np.ndarray:
        return self.samples[place]

    def put(self, place: int, pcm: np.ndarray) -> None:
        """Does nothing: they are there."""

    def at(self, places: np.ndarray) -> "Held":
        return Held([self.samples[place] for place in places])


@dataclasses.dataclass(frozen=True)
class DiskCache:
    """A file that takes samples as they are first decoded, for the epochs and runs that follow.

    It is sparse: an utterance has its place from the beginning on, and disk space once it is drawn.
    Samples are read and written by their place, so that none of it counts as memory of the program.
    Each has a checksum: what a process that was killed has left is decoded anew.

    Args:
        samples: file descriptor of the samples, one utterance behind another.
        kept: what of them is there, an array of `_KEPT` in a file.
        begins: of each utterance, in samples, and the end; int64 [slots + 1].
        slots: of each place, -1 for none.
    """

    samples: int
    kept: np.memmap
    begins: np.ndarray
    slots: np.ndarray

    @classmethod
    def opened(cls, folder: Path, lengths: np.ndarray) -> "DiskCache":
        """The cache in a folder, made if it is not there.

        Args:
            folder: of one corpus, for ever: named by what tells it from others.
            lengths: int64 [utterances], of each, as far as is known before it is decoded.

        Raises:
            UserError: the folder cannot be written to, or there is no room.
        """
        begins = np.concatenate([[0], np.cumsum(lengths + tolerance(lengths))])
        size = int(begins[-1]) * _BYTES_PER_SAMPLE
        require_folder_place(folder)
        path = folder / "samples.pcm"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            room = os.statvfs(folder)
            there = path.stat().st_blocks * 512 if path.exists() else 0
            if size - there > _SHARE_OF_DISK * room.f_bavail * room.f_frsize:
                raise UserError(
                    f"{folder} has no room for the {size / 1e9:,.1f} GB that the decoded corpus "
                    "takes; name another folder with --cache_folder, or give --cache=none."
                )
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            os.ftruncate(descriptor, size)
            index = folder / "kept.bin"
            if not index.exists():
                write_beside(index, bytes(len(lengths) * _KEPT.itemsize))
            kept = np.memmap(index, _KEPT, mode="r+", shape=(len(lengths),))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"The cache {folder} cannot be used ({reason}); remove it, name another folder "
                "with --cache_folder, or give --cache=none."
            ) from error
        return cls(descriptor, kept, begins, np.arange(len(lengths)))

    def get(self, place: int) -> np.ndarray | None:
        slot = self.slots[place]
        if slot < 0 or not (length := int(self.kept["length"][slot])):
            return None
        start = int(self.begins[slot]) * _BYTES_PER_SAMPLE
        content = os.pread(self.samples, length * _BYTES_PER_SAMPLE, start)
        is_whole = zlib.crc32(content) == self.kept["crc"][slot]
        return np.frombuffer(content, np.int16) if is_whole else None

    def put(self, place: int, pcm: np.ndarray) -> None:
        slot = self.slots[place]
        if slot < 0 or pcm.size > self.begins[slot + 1] - self.begins[slot]:
            return
        content = pcm.tobytes()
        try:
            os.pwrite(self.samples, content, int(self.begins[slot]) * _BYTES_PER_SAMPLE)
        except OSError:
            # A full disk is no reason to stop: the utterance is decoded again.
            return
        self.kept[slot] = (pcm.size, zlib.crc32(content))

    def at(self, places: np.ndarray) -> "DiskCache":
        slots = np.where(places < 0, -1, self.slots[places])
        return dataclasses.replace(self, slots=slots)

    @property
    def share(self) -> float:
        """How much of the corpus it holds by now, of its utterances."""
        return float(np.count_nonzero(self.kept["length"]) / max(1, len(self.kept)))


def tolerance(lengths: np.ndarray | int) -> np.ndarray | int:
    """By how many samples recordings may differ from the length that was told beforehand."""
    samples = TOLERANCE_SECONDS * SAMPLE_RATE + TOLERANCE_SHARE * np.asarray(lengths)
    return samples.astype(np.int64)
