"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import time

try:
    import rich.console
    import rich.progress
except ImportError:
    # Not in the light runtime, which gets plain lines.
    rich = None


class Progress:
    """Counts steps of work that takes a while.

    Use as a context manager. On a terminal it draws a bar with the time left; elsewhere, and where
    rich is not installed, it prints a line at most every `interval` seconds.

    Args:
        total: number of steps.
        title: what is being done.
        interval: seconds between plain lines.
    """

    def __init__(self, total: int, title: str, interval: float = 15.0):
        self._total = total
        self._title = title
        self._interval = interval
        self._printed = time.monotonic()
        self._bar = None
        if rich is None or not (console := rich.console.Console()).is_terminal:
            return
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task = self._bar.add_task(title, total=total, note="")

    def update(self, done: int, note: str = "") -> None:
        """Reports `done` steps, with a note such as the loss."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif now - self._printed >= self._interval:
            self._printed = now
            self.line(f"{self._title} {done}/{self._total} {note}".rstrip())

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, flush=True)

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
