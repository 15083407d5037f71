"""Audio files that are no files of their own: within another file, or what a command writes."""

import abc
import dataclasses
import io
import subprocess

import numpy as np
import soundfile

from int4_conformer.errors import UserError


class Contents(abc.ABC):
    """Where the bytes of an audio file come from, whenever they are asked for.

    Subclasses are frozen dataclasses: equal ones hold the same audio.
    """

    @abc.abstractmethod
    def read(self) -> bytes:
        """The bytes of an audio file of any kind.

        Raises:
            UserError: there are none to be had.
        """

    def known_length(self, sample_rate: int) -> int | None:
        """Samples at a rate in Hz if they were counted before; None if only decoding tells."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandOutput(Contents):
    """What a shell command writes to its standard output, run anew each time."""

    command: str

    def read(self) -> bytes:
        done = subprocess.run(
            self.command, shell=True, capture_output=True, stdin=subprocess.DEVNULL
        )
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else "it wrote nothing"
            raise UserError(
                f"The command `{self.command}` ended with status {done.returncode} ({reason}); run "
                "it in a shell to see why."
            )
        return done.stdout


def wav_file(samples: np.ndarray, sample_rate: int) -> bytes:
    """A WAV file of int16, int32 or float32 `[samples]` or `[samples, channels]`, as they are."""
    subtypes = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT"}
    return _encoded(samples, sample_rate, "WAV", subtypes[samples.dtype.name])


def flac_file(pcm: np.ndarray, sample_rate: int) -> bytes:
    """A FLAC file of int16 `[samples]`."""
    return _encoded(pcm, sample_rate, "FLAC", "PCM_16")


def _encoded(samples: np.ndarray, sample_rate: int, kind: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format=kind, subtype=subtype)
    return file.getvalue()
