"""Audio that clients send: decoded within limits, in a worker's thread."""

import threading
from typing import BinaryIO

import numpy as np

from int4_conformer.audio.audio_files import AudioFile
from int4_conformer.audio.samples import MAX_CHANNELS
from int4_conformer.errors import UserError
from int4_conformer.server.refusals import RefusedError

# No name that the client gave: nothing of it reaches the file system.
_NAME = "The file"


class StoppedError(Exception):
    """The client has gone, or has waited too long."""


class Work:
    """A request's work in other threads, which ends early where nobody waits for it."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends it where it looks next."""
        self._stopped.set()

    def look(self) -> None:
        """Ends here if it is to end.

        Raises:
            StoppedError: so it is.
        """
        if self._stopped.is_set():
            raise StoppedError


def decoded(file: BinaryIO, sample_rate: int, most_seconds: float, work: Work) -> np.ndarray:
    """Decodes a file that was sent.

    Args:
        file: its bytes.
        sample_rate: of the result, in Hz.
        most_seconds: that it may have.
        work: ends it early.

    Returns:
        float32 `[samples]` in [-1, 1].

    Raises:
        RefusedError: it is longer.
        UserError: it is no audio.
    """
    audio = AudioFile(file, _NAME)
    if audio.channels > MAX_CHANNELS:
        # A few bytes can hold silence of hundreds.
        raise UserError(
            f"{_NAME} has {audio.channels} channels, and at most {MAX_CHANNELS} are heard; mix "
            "them before."
        )
    blocks, samples = [], 0
    # What is odd about a file is no reason to refuse it.
    for block in audio.blocks(sample_rate, on_note=lambda note: None):
        work.look()
        samples += len(block)
        require_length(samples / sample_rate, most_seconds)
        blocks.append(block)
    return np.concatenate(blocks)


def require_length(seconds: float, most_seconds: float) -> None:
    """Refuses audio that is longer."""
    if seconds > most_seconds:
        raise RefusedError(
            413,
            "audio_too_long",
            f"The audio has more than {most_seconds:g} s, which is the most that this server "
            "hears at once; cut it, or stream it.",
        )
