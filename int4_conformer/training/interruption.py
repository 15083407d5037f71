"""Stopping at the end of a step when the user or the platform asks for it."""

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes Ctrl-C and SIGTERM instead of ending at once, as a context manager.

    A second signal ends the process as it would without this.
    """

    def __init__(self) -> None:
        # The signal that came, or None.
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        # Python lets no other thread have handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @property
    def exit_status(self) -> int:
        """By which a process says that this signal ended it."""
        return 128 + (self.signal or 0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()
        # A step may have to be compiled first, or an evaluation to end.
        print("stopping after this step; again ends at once, without saving", flush=True)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
