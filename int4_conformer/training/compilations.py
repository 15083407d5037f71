"""Programs of a step that are compiled on the way: which there are, and what is said of it."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batch_plan import Planned
from int4_conformer.data.buckets import Bucket
from int4_conformer.models.training_step import TrainingStep
from int4_conformer.progress import Progress, duration
from int4_conformer.training.workdir import Workdir


class Compilations:
    """Knows the programs that a process has, one for each shape of batch and stage of quantization.

    Args:
        step: whose programs.
        buckets: shapes of batches.
        workdir: keeps how long each took.
        xla: whether XLA compiles them; otherwise they are but traced.
    """

    def __init__(
        self, step: TrainingStep, buckets: Sequence[Bucket], workdir: Workdir, *, xla: bool
    ):
        self._step = step
        self._buckets = buckets
        self._workdir = workdir
        self._what = "compiling" if xla else "tracing"
        self._known: set[tuple[int, int]] = set()

    def need(self, planned: Planned, step: int) -> bool:
        """Whether a batch is the first of its shape and stage."""
        return self._program(planned, step) not in self._known

    @contextlib.contextmanager
    def told(self, planned: Planned, step: int, progress: Progress) -> Iterator[bool]:
        """Says that what is done within compiles the program of a batch, if it does; yields
        whether."""
        program = self._program(planned, step)
        if program in self._known:
            yield False
            return
        self._known.add(program)
        known = self._workdir.compile_seconds()
        name = "x".join(map(str, program))
        text = f"{self._what} the step for audio of {program[0] / SAMPLE_RATE:.2f} s"
        if name in known:
            text += f" (took {duration(known[name])} last time)"
        begun = time.monotonic()
        with progress.during(text):
            yield True
        self._workdir.keep_compile_seconds(known | {name: round(time.monotonic() - begun, 1)})

    def _program(self, planned: Planned, step: int) -> tuple[int, int]:
        """Samples of a row, and the stage."""
        return self._buckets[planned.bucket].samples, self._step.stage(step)
