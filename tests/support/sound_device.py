"""A stand-in for the package sounddevice, whose microphone hears an array."""

import os
import signal
import threading
import time
import types

import numpy as np


class PortAudioError(Exception):
    """What sounddevice raises."""


def device(name, inputs=1, rate=16000):
    """What sounddevice says of a device."""
    return {"name": name, "max_input_channels": inputs, "default_samplerate": float(rate)}


SPEAKERS, STUDIO = device("Speakers", inputs=0), device("Studio microphone", rate=48000)


def module(
    samples=(),
    *,
    devices=(SPEAKERS, STUDIO),
    default=1,
    then="interrupt",
    refusal=None,
    channels=1,
    overflows=(),
    pause=0.0,
    at_once=False,
):
    """The module, to stand in `sys.modules`.

    Args:
        samples: float32 at the device's rate, which a stream hears as soon as it starts.
        devices: all that there are.
        default: number of the one to hear; None for none.
        then: "interrupt" has the user type Ctrl-C afterwards, "unplugged" takes the device away.
        refusal: what keeps a stream from being opened.
        channels: the only number of channels that a stream may have.
        overflows: numbers of blocks before which audio was lost.
        pause: seconds between two blocks.
        at_once: whether all has come before any of it is fetched.
    """
    made = types.ModuleType("sounddevice")
    made.PortAudioError = PortAudioError
    made.opened = []

    def query_devices(kind=None):
        if kind is None:
            return list(devices)
        if default is None:
            raise PortAudioError("Error querying device -1")
        return devices[default] | {"index": default}

    class InputStream:
        def __init__(self, **settings):
            if refusal is not None:
                raise PortAudioError(refusal)
            if settings["channels"] != channels:
                raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")
            made.opened.append(settings)
            self.active, self._closed, self._settings = False, False, settings
            self._thread = threading.Thread(target=self._run, daemon=True)

        def start(self):
            self.active = True
            self._thread.start()
            if at_once:
                self._thread.join()

        def close(self):
            self._closed = True
            self._thread.join()

        def _run(self):
            size = self._settings["blocksize"]
            heard = np.asarray(samples, np.float32).reshape(-1, 1).repeat(channels, axis=1)
            heard[:, 1:] = 0.9
            for number, start in enumerate(range(0, len(heard), size)):
                if self._closed:
                    return
                block = heard[start : start + size]
                status = types.SimpleNamespace(input_overflow=number in overflows)
                self._settings["callback"](block, len(block), None, status)
                time.sleep(pause)
            if then == "interrupt":
                # Not before all has been fetched.
                waiting = self._settings["callback"].__self__._blocks
                while not (waiting.empty() or self._closed):
                    time.sleep(0.01)
                if not self._closed:
                    os.kill(os.getpid(), signal.SIGINT)
            else:
                self.active = False

    made.query_devices, made.InputStream = query_devices, InputStream
    return made
