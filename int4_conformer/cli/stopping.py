"""Ctrl-C while a microphone or a pipe is heard: an end of the audio, not of the program."""

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TypeVar

_Part = TypeVar("_Part")


def until_interrupted(parts: Iterator[_Part]) -> Iterator[_Part]:
    """The parts up to Ctrl-C, after which they end as by themselves.

    What is done with a part is not interrupted, so that its words are not lost; a second Ctrl-C
    ends the program.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python lets no other thread have handlers.
        yield from parts
        return
    waits = stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if waits or stopped:
            raise KeyboardInterrupt
        stopped = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        while not stopped:
            try:
                waits = True
                part = next(parts, None)
                waits = False
            except KeyboardInterrupt:
                waits, stopped = False, True
                return
            if part is None:
                return
            yield part
    finally:
        signal.signal(signal.SIGINT, before)
