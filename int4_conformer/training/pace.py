"""How fast a run goes."""

import collections
import os
import resource
import time
from pathlib import Path

_RECENT = 50


class Pace:
    """The pace of the last steps, and of the evaluations that lie between.

    Compilations are left out: they are over once each.

    Example:

        >>> pace = Pace()
        >>> pace.step(0.5, audio_seconds=48.0)
        >>> pace.evaluation(10.0)
        >>> pace.steps_per_second, pace.audio_hours_per_hour, pace.left(steps=100, evaluations=2)
        (2.0, 96.0, 70.0)
    """

    def __init__(self) -> None:
        self._steps: collections.deque[tuple[float, float]] = collections.deque(maxlen=_RECENT)
        self._evaluation = 0.0

    def step(self, seconds: float, audio_seconds: float) -> None:
        """Notes what a step took, and how much speech was in its batch."""
        self._steps.append((seconds, audio_seconds))

    def evaluation(self, seconds: float) -> None:
        """Notes what an evaluation and its checkpoint took."""
        self._evaluation = seconds

    @property
    def steps_per_second(self) -> float:
        """0 before the first step."""
        return len(self._steps) / self._seconds if self._steps else 0.0

    @property
    def audio_hours_per_hour(self) -> float:
        """Hours of speech, without padding, that an hour of steps takes in."""
        return sum(audio for _, audio in self._steps) / self._seconds if self._steps else 0.0

    def left(self, steps: int, evaluations: int) -> float | None:
        """Seconds that so many steps and evaluations will take; None before the first step."""
        if not self._steps:
            return None
        return steps / self.steps_per_second + evaluations * self._evaluation

    @property
    def _seconds(self) -> float:
        return sum(seconds for seconds, _ in self._steps)


class Usage:
    """Time and memory that a run has used, those of the process that it went on from included.

    Args:
        seconds: that it took before.
        processor_seconds: that all its threads took before.
    """

    def __init__(self, seconds: float = 0.0, processor_seconds: float = 0.0):
        self._begun = time.monotonic() - seconds
        self._begun_processor = time.process_time() - processor_seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def processor_seconds(self) -> float:
        return time.process_time() - self._begun_processor

    @property
    def memory_mb(self) -> float:
        """Resident now; the most there was, where the system does not tell."""
        status = Path("/proc/self/statm")
        if status.exists():
            return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
