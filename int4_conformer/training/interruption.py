"""Stopping at the end of a step when the user or the platform asks for it."""

import os
import signal
import socket
import sys
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a process may take to end by itself after a second signal.
_GRACE_SECONDS = 2.0
_SHOW_CURSOR = "\x1b[?25h"


class Interruption:
    """Notes Ctrl-C and SIGTERM instead of ending at once, as a context manager.

    A second signal ends the process as it would without this. While a step is compiled, which may
    take minutes, Python runs no handlers; so a thread hears of the signals, too.
    """

    def __init__(self) -> None:
        # The signal that came, or None.
        self.signal: int | None = None
        self._before: dict[int, object] = {}
        self._is_over = threading.Event()
        # Of the bytes that stand for signals; none where this hears none.
        self._ends: tuple[socket.socket, ...] = ()

    def __enter__(self) -> "Interruption":
        # Python lets no other thread have handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
            self._ends = socket.socketpair()
            self._ends[1].setblocking(False)
            self._wakeup_before = signal.set_wakeup_fd(self._ends[1].fileno())
            threading.Thread(target=self._watch, args=self._ends[:1], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._is_over.set()
        if self._ends:
            signal.set_wakeup_fd(self._wakeup_before)
            # Ends the thread, which closes its end.
            self._ends[1].close()

    @property
    def exit_status(self) -> int:
        """By which a process says that this signal ended it."""
        return 128 + (self.signal or 0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # It is told by the thread: this may be in the midst of printing.
        self.signal = self.signal or number
        self._restore()

    def _watch(self, signals: socket.socket) -> None:
        """Hears of each signal by a byte, and does what handlers cannot."""
        with signals:
            if not (number := _next(signals)):
                return
            self.signal = number
            # A step may have to be compiled first, or an evaluation to end.
            print("stopping after this step; again ends at once, without saving", flush=True)
            if (number := _next(signals)) and not self._is_over.wait(_GRACE_SECONDS):
                if sys.stdout.isatty():
                    # A bar may have hidden it.
                    print(_SHOW_CURSOR, end="", flush=True)
                os._exit(128 + number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def _next(signals: socket.socket) -> int:
    """The next of `_SIGNALS` that came; 0 when none will come."""
    while byte := signals.recv(1):
        if byte[0] in _SIGNALS:
            return byte[0]
    return 0
