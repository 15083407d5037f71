"""Servers of a small recogniser that run beside the tests, and what clients of them do."""

import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from int4_conformer.audio import audio_files
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server.application import new_application, new_service
from int4_conformer.server.limits import Limits
from int4_conformer.server.model_facts import ModelFacts
from int4_conformer.server.running_server import RunningServer, bound
from int4_conformer.server.service import Access, Service

ROOT = Path(__file__).parents[2]
# A recogniser of two passes, of "go", "back" and the like, and clips for it.
MODEL = ROOT / "tests" / "compatibility" / "v0_1" / "cascade.tflite"
CLIPS = sorted((MODEL.parent / "clips").glob("*.flac"))
NAME = MODEL.stem


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """A server that runs."""

    port: int
    service: Service
    server: RunningServer

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings):
        """An HTTP client of it."""
        return httpx.Client(base_url=self.url, timeout=30, **settings)

    def stream(self, **settings):
        """A WebSocket to it."""
        return connect(f"ws://127.0.0.1:{self.port}/v1/stream", **settings)

    def connection(self):
        """A bare connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def serving(model=MODEL, access=None, gated=True, **limits):
    """Serves a file in a thread of this process."""
    limits = Limits(**{"workers": 1, **limits})
    recognizers = [Recognizer(model, gated=gated) for _ in range(limits.workers)]
    facts = ModelFacts.of(model, recognizers[0])
    service = new_service(recognizers, facts, limits, access or Access())
    listening = bound("127.0.0.1", 0)
    server = RunningServer(service, new_application(service))
    thread = threading.Thread(target=server.serve_at, args=[listening])
    thread.start()
    try:
        yield Served(port=listening.getsockname()[1], service=service, server=server)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=30)
        listening.close()
        assert not thread.is_alive()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """`int4-conformer serve` in a process of its own."""

    popen: subprocess.Popen
    url: str

    def end(self, seconds=30):
        """Tells it to end, waits until it has, and returns the objects that it has logged."""
        self.popen.send_signal(signal.SIGTERM)
        out, _ = self.popen.communicate(timeout=seconds)
        return [json.loads(line) for line in out.splitlines()]


@contextlib.contextmanager
def process(*arguments, model=MODEL):
    """Starts one, and ends it if the test has not."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "int4_conformer.cli.serve", str(model), "--port=0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        said = ""
        for line in popen.stderr:
            said += line
            if " at http" in line:
                yield Process(popen=popen, url=line.split(" at ")[1].split(";")[0])
                break
        else:
            raise AssertionError(said)
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()
        popen.stderr.close()


def samples(clip):
    """float32 `[samples]` of a clip at 16 kHz."""
    return audio_files.read(clip)


def wav(pcm, rate=16000):
    """The bytes of a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, pcm, rate, format="WAV")
    return file.getvalue()


def post(client, content, **fields):
    """Sends a recording as a form."""
    data = {"model": NAME} | fields
    return client.post("/v1/audio/transcriptions", files={"file": ("a.flac", content)}, data=data)


def heard(stream, pcm, opening=None, part=700):
    """Everything that a WebSocket answers to int16 samples."""
    stream.send(json.dumps(opening or {}))
    for start in range(0, len(pcm), part):
        stream.send(np.asarray(pcm[start : start + part]).tobytes())
    stream.send('{"type": "end"}')
    return [json.loads(message) for message in stream]


def to_the_end(stream):
    """Everything that a WebSocket says until it is closed, and the code that closes it."""
    said = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            said.append(json.loads(stream.recv(10)))
    return said, stream.close_code


def eventually(holds, seconds=10):
    """Waits until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
