"""Audio from a microphone, by PortAudio and the package sounddevice (the extra `[mic]`)."""

import contextlib
import dataclasses
import queue
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from int4_conformer.errors import UserError, did_you_mean

_BLOCK_SECONDS = 0.05
# Blocks that wait for a recogniser that is slower than the microphone: 20 s.
_MOST_WAITING = 400
# Between two looks at whether the device is still there.
_PATIENCE_SECONDS = 0.5
# No microphone is silent to the last bit for so long.
_SUSPICIOUS_SECONDS = 3.0
_LISTED = "`int4-conformer transcribe --list_devices` lists them"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """An audio device that can be heard."""

    number: int
    name: str
    channels: int
    # The rate in Hz that it likes.
    rate: int
    # Whether it is heard if none is named.
    is_default: bool


def devices() -> list[Device]:
    """All that can be heard.

    Raises:
      UserError: sounddevice or PortAudio is missing, or there is no such device.
    """
    library = _library()
    try:
        default = library.query_devices(kind="input")["index"]
    except (library.PortAudioError, ValueError):
        default = None
    found = [
        Device(
            number=number,
            name=device["name"],
            channels=device["max_input_channels"],
            rate=int(device["default_samplerate"]),
            is_default=number == default,
        )
        for number, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]
    if not found:
        raise UserError(
            "There is no microphone: no audio device of this machine has an input; plug one in, or "
            "give audio files, or - for standard input."
        )
    return found


def choose(found: Sequence[Device], wanted: str | None) -> Device:
    """The device of a number, of a name or of a part of one, in any case; the default if not given.

    Raises:
      UserError: there is none, or there are several.
    """
    if wanted is None:
        return next((device for device in found if device.is_default), found[0])
    if wanted.isdecimal():
        for device in found:
            if device.number == int(wanted):
                return device
        raise UserError(f"There is no microphone of number {wanted}; {_LISTED}.")
    lower = wanted.lower()
    exact = [device for device in found if device.name.lower() == lower]
    named = exact or [device for device in found if lower in device.name.lower()]
    if not named:
        meant = did_you_mean(wanted, [device.name for device in found])
        raise UserError(f"There is no microphone {wanted!r}{meant}; {_LISTED}.")
    if len(named) > 1:
        numbers = ", ".join(f"{device.number} {device.name!r}" for device in named)
        raise UserError(f"{wanted!r} may be any of several microphones ({numbers}); give a number.")
    return named[0]


class Microphone:
    """What a device hears, from the first look at it on.

    Args:
      device: what to hear.
      on_note: is told, in a sentence, what is odd: audio that was lost, a device that gives nothing
        or has gone.
    """

    def __init__(self, device: Device, on_note: Callable[[str], None]) -> None:
        self.rate = device.rate
        self._device = device
        self._on_note = on_note
        self._blocks: queue.Queue[np.ndarray] = queue.Queue(_MOST_WAITING)
        # Gaps in what was heard, of whatever length.
        self.overruns = 0
        self._has_told = False

    def audio(self) -> Iterator[np.ndarray]:
        """Float32 `[samples]` as they come, until the device is gone or nobody asks for more.

        Raises:
          UserError: the device does not let itself be opened.
        """
        seconds, is_silent = 0.0, True
        with contextlib.closing(self._opened()) as stream:
            while (block := self._next(stream)) is not None:
                yield block
                seconds += len(block) / self.rate
                is_silent &= not block.any()
                if is_silent and seconds >= _SUSPICIOUS_SECONDS:
                    is_silent = False
                    self._on_note(
                        f"{self._device.name} gives nothing but zeros; is it muted, or may this "
                        "program not hear it?"
                    )

    def _next(self, stream: Any) -> np.ndarray | None:
        """The next block; None if the device is gone."""
        while True:
            if self.overruns and not self._has_told:
                self._has_told = True
                self._on_note("Some audio was lost; this machine is too busy or too slow.")
            try:
                return self._blocks.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                if not stream.active:
                    self._on_note(f"{self._device.name} has stopped; is it still plugged in?")
                    return None

    def _opened(self) -> Any:
        """The device, started: with one channel if it gives that, else with all that it has."""
        library = _library()
        refusals = []
        for channels in dict.fromkeys((1, self._device.channels)):
            try:
                stream = library.InputStream(
                    device=self._device.number,
                    samplerate=self.rate,
                    blocksize=int(_BLOCK_SECONDS * self.rate),
                    channels=channels,
                    dtype="float32",
                    callback=self._hear,
                )
                stream.start()
            except library.PortAudioError as refusal:
                refusals.append(refusal)
            else:
                return stream
        # PortAudio's numbers of its errors follow what it says.
        reason = str(refusals[0]).split(" [PaErrorCode")[0].strip().rstrip(".")
        raise UserError(
            f"The microphone {self._device.name!r} cannot be opened ({reason}); close the program "
            "that uses it, or name another one with --device."
        ) from refusals[0]

    def _hear(self, samples: np.ndarray, frames: int, time: Any, status: Any) -> None:
        """Takes a block, in the thread of PortAudio."""
        self.overruns += bool(status.input_overflow)
        try:
            # Of several channels, the first is what a microphone of its own would be.
            self._blocks.put_nowait(samples[:, 0].copy())
        except queue.Full:
            self.overruns += 1


def _library() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UserError(
            "A microphone needs sounddevice; install it with pip install 'int4-conformer[mic]'."
        ) from error
    except OSError as error:
        raise UserError(
            "A microphone needs PortAudio, which sounddevice does not find; install it, on Debian "
            "and Ubuntu with sudo apt install libportaudio2."
        ) from error
    return sounddevice
