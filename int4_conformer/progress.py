"""What long work says: a bar on a terminal, plain lines elsewhere, and never silence.

A thread says every few seconds that work goes on, whatever the work is waiting for. Where the user
has asked for quiet, nothing is said (`silent`).
"""

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

# Work that is over sooner is neither said to go on nor to have ended.
_WORTH_SAYING = 2.0

_is_silent = contextvars.ContextVar("is_silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Within this context nothing is said of how far work is, and no notes.

    Example:

        >>> with silent(), waiting("reading the corpus"):
        ...     say("a note")
    """
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


def say(note: str, file: TextIO | None = None) -> None:
    """Prints what is no result.

    Args:
        note: a line or several.
        file: gets it; stdout if not given.
    """
    if not _is_silent.get():
        print(note, flush=True, file=file)


class Progress:
    """Counts steps of work that takes a while.

    Use as a context manager. On a terminal it draws a bar with the time left; elsewhere, and where
    the package rich is not installed, it prints a line every `interval` seconds.

    Args:
        total: number of steps.
        title: what is being done.
        start: steps that were done before.
        interval: seconds between plain lines.
        shown: how a number of steps is written.
        file: gets all that; stdout if not given. What is said beside results leaves no bar behind.

    Example:

        >>> with Progress(2, "evaluate") as progress:
        ...     progress.update(1, "WER 3.00%")
        ...     progress.line("an utterance could not be decoded")
        an utterance could not be decoded
    """

    def __init__(
        self,
        total: int,
        title: str,
        *,
        start: int = 0,
        interval: float = 5.0,
        shown: Callable[[int], str] = str,
        file: TextIO | None = None,
    ):
        self._total = total
        self._title = title
        self._start = self._done = start
        self._interval = interval
        self._begun = time.monotonic()
        # The first line comes sooner, for nobody knows yet that this goes on.
        self._printed = self._begun - max(0.0, interval - _WORTH_SAYING)
        self._note = ""
        self._left: float | None = None
        self._activity: tuple[str, float] | None = None
        self._shown = shown
        self._file = file
        self._is_silent = _is_silent.get()
        on_screen = not self._is_silent and (file or sys.stdout).isatty()
        self._bar = _bar(file) if on_screen else None
        self._task = self._bar and self._bar.add_task(
            title, total=total, completed=start, count=self._count(), note=""
        )
        self._heartbeat = _Heartbeat(self._beat)

    def update(self, done: int, note: str = "", left: float | None = None) -> None:
        """Reports `done` steps.

        Args:
            done: of `total`.
            note: such as the loss.
            left: seconds to the end; as the pace since the start has it if not given.
        """
        self._done, self._note, self._left = done, note, left
        self._beat()

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self._is_silent:
            print(text, flush=True, file=self._file)
            self._printed = time.monotonic()

    @contextlib.contextmanager
    def during(self, text: str) -> Iterator[Callable[[str], None]]:
        """Says what the count waits for, such as a compilation, and how long it took.

        Yields:
            what takes a note on how far that is.
        """
        begun = time.monotonic()

        def note(how_far: str) -> None:
            self._activity = f"{text}: {how_far}", begun
            self._beat()

        self._activity = text, begun
        if self._bar is None:
            self.line(text)
        self._beat()
        try:
            yield note
        finally:
            self._activity = None
        took = time.monotonic() - begun
        if took >= _WORTH_SAYING:
            self.line(f"{text}: done in {duration(took)}")

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        if self._bar is not None:
            self._bar.stop()

    def _beat(self) -> None:
        """Shows how things stand, if it is time to."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(
                self._task, completed=self._done, count=self._count(), note=self._status(now)
            )
        elif now - self._printed >= self._interval:
            self.line(f"{self._title} {self._count()}  {self._status(now)}".rstrip())

    def _count(self) -> str:
        return f"{self._shown(self._done)}/{self._shown(self._total)}"

    def _status(self, now: float) -> str:
        if (activity := self._activity) is not None:
            text, begun = activity
            return f"{text} ({duration(now - begun)} so far)"
        left = self._left
        if left is None and self._done > self._start:
            pace = (now - self._begun) / (self._done - self._start)
            left = pace * (self._total - self._done)
        return "  ".join(filter(None, [self._note, left and f"{duration(left)} left"]))


@contextlib.contextmanager
def waiting(
    text: str, interval: float = 5.0, file: TextIO | None = None, *, at_once: bool = True
) -> Iterator[None]:
    """Says what is being done, every `interval` seconds that it still is, and how long it took.

    Args:
        text: such as "starting TensorFlow".
        interval: seconds between lines.
        file: gets them; stdout if not given.
        at_once: whether also what is soon over is said.

    Example:

        >>> with waiting("reading the corpus"):
        ...     pass
        reading the corpus
    """
    if _is_silent.get():
        yield
        return
    begun = time.monotonic()
    said = None
    if at_once:
        said = begun
        print(text, flush=True, file=file)

    def beat() -> None:
        nonlocal said
        now = time.monotonic()
        due = begun + _WORTH_SAYING if said is None else said + interval
        if now >= due:
            said = now
            print(f"{text} ({duration(now - begun)} so far)", flush=True, file=file)

    heartbeat = _Heartbeat(beat)
    heartbeat.start()
    try:
        yield
    finally:
        heartbeat.stop()
    took = time.monotonic() - begun
    if said is not None and took >= _WORTH_SAYING:
        print(f"{text}: done in {duration(took)}", flush=True, file=file)


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:

        >>> duration(37.4), duration(400), duration(7500)
        ('37 s', '6 min 40 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class _Heartbeat:
    """Calls a function every second in a thread of its own."""

    def __init__(self, beat: Callable[[], None]):
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(1.0):
            self._beat()


def _bar(file: TextIO | None) -> "rich.progress.Progress | None":  # noqa: F821 (rich is optional)
    """A bar of rich's, or None where it is not installed."""
    try:
        import rich.console
        import rich.progress
    except ModuleNotFoundError:
        return None
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=20),
        rich.progress.TextColumn("{task.fields[count]}", markup=False),
        rich.progress.TextColumn("{task.fields[note]}", markup=False),
        console=None if file is None else rich.console.Console(file=file),
        transient=file is not None,
    )
