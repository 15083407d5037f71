"""What became of a job's recordings, in numbers."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from int4_conformer.batch.shard_formats import Row
from int4_conformer.progress import duration

# Sentences about recordings that failed that are kept.
_MOST_ERRORS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSummary:
    """Counts of recordings; those of several shards are added.

    Example:

        >>> rows = [
        ...     {"audio": "a.wav", "text": "go back", "words": [{}, {}], "duration": 1.5},
        ...     {"audio": "b.wav", "error": "There is no audio file b.wav; check the path."},
        ... ]
        >>> print(JobSummary.of(rows) + JobSummary.of(rows[:1]))
        recognised 2 of 3 (3 s of audio, 4 words); 1 failed
    """

    recordings: int = 0
    failed: int = 0
    # Recognised, but odd: such as files that end early.
    odd: int = 0
    # Recognised, without a word.
    silent: int = 0
    words: int = 0
    # Of what was recognised; whole, so that it does not depend on who comes first.
    audio_milliseconds: int = 0
    # What is wrong with the first that failed.
    errors: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "JobSummary":
        """That of rows of transcripts."""
        rows = list(rows)
        heard = [row for row in rows if "error" not in row]
        return cls(
            recordings=len(rows),
            failed=len(rows) - len(heard),
            odd=sum("notes" in row for row in heard),
            silent=sum(not row["words"] for row in heard),
            words=sum(len(row["words"]) for row in heard),
            audio_milliseconds=sum(round(1000 * row["duration"]) for row in heard),
            errors=tuple(row["error"] for row in rows if "error" in row)[:_MOST_ERRORS],
        )

    def __add__(self, other: "JobSummary") -> "JobSummary":
        sums = {name: value + getattr(other, name) for name, value in vars(self).items()}
        return JobSummary(**sums | {"errors": sums["errors"][:_MOST_ERRORS]})

    @property
    def audio_seconds(self) -> float:
        """Of what was recognised."""
        return self.audio_milliseconds / 1000

    @property
    def recognised(self) -> int:
        """Recordings that did not fail."""
        return self.recordings - self.failed

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {"recognised": self.recognised} | dataclasses.asdict(self)

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "JobSummary":
        """It, of such an object."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: said[name] for name in names} | {"errors": tuple(said["errors"])})

    def __str__(self) -> str:
        return (
            f"recognised {self.recognised:,} of {self.recordings:,} "
            f"({duration(self.audio_seconds)} of audio, {self.words:,} words); "
            f"{self.failed:,} failed"
        )
