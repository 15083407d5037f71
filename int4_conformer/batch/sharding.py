"""Shards: recordings of about one length whose transcripts are one file.

A recogniser prepares itself anew whenever the length of what it hears changes, so that recordings
of one length after the other take less time. The longest come first: towards the end of a job no
worker is left alone with a long one.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator

from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.errors import require_positive

# Recordings of a shard at most, however short they are.
MOST_RECORDINGS = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Recordings whose transcripts are one file."""

    number: int
    recordings: tuple[Recording, ...]

    @property
    def name(self) -> str:
        """Of its file, but for the ending."""
        return f"shard-{self.number:06}"

    def to_json(self) -> str:
        """It in a line."""
        recordings = [
            {name: value for name, value in vars(recording).items() if value is not None}
            for recording in self.recordings
        ]
        return json.dumps({"shard": self.number, "recordings": recordings})

    @classmethod
    def from_json(cls, line: str | bytes) -> "Shard":
        """It, of such a line."""
        said = json.loads(line)
        recordings = tuple(Recording(**recording) for recording in said["recordings"])
        return cls(number=said["shard"], recordings=recordings)


def sharded(
    recordings: Iterable[Recording], shard_seconds: float, first: int = 0
) -> Iterator[Shard]:
    """Parts recordings into shards.

    Segments of one file stay together, for whoever decodes it.

    Args:
        recordings: each of them once.
        shard_seconds: of audio, about, in a shard.
        first: number of the first shard.

    Example:

        >>> lengths = {"a": 3.0, "b": 9.0, "c": 4.0, "d": 9.0}
        >>> given = [Recording(audio=name, expected_seconds=s) for name, s in lengths.items()]
        >>> for shard in sharded(given, shard_seconds=10):
        ...     print(shard.name, *(recording.audio for recording in shard.recordings))
        shard-000000 b d
        shard-000001 c a
    """
    require_positive(shard_seconds=shard_seconds)
    of_file: dict[str, list[Recording]] = {}
    for recording in recordings:
        of_file.setdefault(recording.audio, []).append(recording)

    def longest_first(audio: str) -> tuple[float, str]:
        return -math.fsum(recording.expected_seconds for recording in of_file[audio]), audio

    taken: list[Recording] = []
    seconds = 0.0
    for audio in sorted(of_file, key=longest_first):
        for recording in sorted(of_file[audio], key=_place):
            taken.append(recording)
            seconds += recording.expected_seconds
            if seconds >= shard_seconds or len(taken) == MOST_RECORDINGS:
                yield Shard(number=first, recordings=tuple(taken))
                taken, seconds, first = [], 0.0, first + 1
    if taken:
        yield Shard(number=first, recordings=tuple(taken))


def _place(recording: Recording) -> tuple[bool, float, float]:
    """Where in its file it is; the whole file comes first."""
    offset, duration = recording.offset, recording.duration
    return offset is not None, offset or 0.0, math.inf if duration is None else duration
