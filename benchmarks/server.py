"""A server under load: many clients, bad clients, its end, and the memory of a recogniser.

    python benchmarks/server.py --model=model.tflite --clips=PATH/an4/manifest.jsonl

It starts `int4-conformer serve` in a process of its own and asks it over TCP. With --quick all is
shorter; --parts chooses some of it:

    serial    one client after the other: files, then streams at the speed of speech
    load      64 clients for a minute, 32 of them stream at the speed of speech; the others send
              files without a pause. Every answer is compared with that of the serial client.
    bad       the same with clients beside them that send too much, nonsense, or too slowly, close
              half of a connection, or go away
    end       SIGTERM while 64 clients ask
    memory    resident memory of the process over so many minutes of load, and of each recogniser

The response of a stream is the time from the message that ends it to its last words. Clients run in
processes of their own, on the CPUs that the server leaves (--server_cpus).
"""

import asyncio
import contextlib
import dataclasses
import io
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
from absl import app, flags
from websockets.asyncio.client import connect

from int4_conformer.audio import audio_files
from int4_conformer.audio.audio_files import AudioFile
from int4_conformer.lite.recognizer import Recognizer

_MODEL = flags.DEFINE_string("model", None, "The .tflite file.", required=True)
_CLIPS = flags.DEFINE_string("clips", None, "JSON-lines manifest of speech.", required=True)
_COUNT = flags.DEFINE_integer("count", 24, "How many clips of it are sent.")
_CLIENTS = flags.DEFINE_integer("clients", 64, "Clients, half of them streams.")
_SECONDS = flags.DEFINE_float("seconds", 60.0, "Of load.")
_MINUTES = flags.DEFINE_float("minutes", 10.0, "Of the watch on memory.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Recognisers of the server.")
_SERVER_CPUS = flags.DEFINE_list("server_cpus", [], "CPUs that the server may use; all if none.")
_PARTS = flags.DEFINE_list("parts", ["serial", "load", "bad", "end", "memory"], "What is run.")
_QUICK = flags.DEFINE_boolean("quick", False, "Some seconds of each.")

_RATE = 16000
# What a microphone hands on at once, in samples.
_CHUNK = 1600


@dataclasses.dataclass(frozen=True)
class Clip:
    """Speech, as files and streams send it."""

    content: bytes
    pcm: bytes
    seconds: float


@dataclasses.dataclass
class Tally:
    """What has come of the requests of some clients."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    audio: float = 0.0
    failed: list[str] = dataclasses.field(default_factory=list)
    different: int = 0

    def row(self, name: str, wall: float) -> str:
        """Of a table."""
        times = (
            [1000 * np.percentile(self.seconds, p) for p in (50, 95, 99)] if self.seconds else []
        )
        cells = [name, str(len(self.seconds)), str(len(self.failed)), str(self.different)]
        cells += [f"{t:.0f} ms" for t in times] + [f"{self.audio / wall:.1f}"]
        return f"| {' | '.join(cells)} |"


class Server:
    """A process that serves."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "int4_conformer.cli.serve", _MODEL.value, "--port=0"]
        command += ["--name=model", f"--workers={_WORKERS.value}", "--queue=500", *arguments]
        if _SERVER_CPUS.value:
            command = ["taskset", "-c", ",".join(_SERVER_CPUS.value), *command]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for line in self.popen.stderr:
            if " at http" in line:
                self.url = line.split(" at ")[1].split(";")[0]
                break
        self.port = int(self.url.rsplit(":", 1)[1])

    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Of all its threads."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        status = self.popen.wait(120)
        self.popen.stderr.close()
        return status


def clips() -> list[Clip]:
    """Every so-manieth line of the manifest."""
    manifest = Path(_CLIPS.value)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    found = []
    for row in rows[:: max(1, len(rows) // _COUNT.value)][: _COUNT.value]:
        path = manifest.parent / row["audio"]
        pcm = np.round(32767 * audio_files.read(path)).astype(np.int16)
        found.append(Clip(path.read_bytes(), pcm.tobytes(), len(pcm) / _RATE))
    return found


async def send_file(client: httpx.AsyncClient, clip: Clip) -> tuple[str, float]:
    """The text of a file, and the seconds that it took."""
    begun = time.perf_counter()
    answer = await client.post(
        "/v1/audio/transcriptions",
        files={"file": ("clip", clip.content)},
        data={"model": "model", "response_format": "verbose_json"},
    )
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code} {answer.text}")
    return answer.json()["text"], time.perf_counter() - begun


async def send_stream(url: str, clip: Clip, *, is_live: bool = True) -> tuple[str, float]:
    """The text of a stream at the speed of speech, and the seconds from its end to its words."""
    async with connect(f"{url.replace('http', 'ws')}/v1/stream", compression=None) as stream:
        await stream.send("{}")
        await stream.recv()
        finals: list[str] = []

        async def listen() -> None:
            async for message in stream:
                found = json.loads(message)
                if found["type"] == "final":
                    finals.append(found["text"])
                elif found["type"] == "error":
                    raise RuntimeError(message)
                elif found["type"] == "end":
                    return

        listening = asyncio.ensure_future(listen())
        begun = time.perf_counter()
        for start in range(0, len(clip.pcm), 2 * _CHUNK):
            if is_live:
                # When it has been spoken.
                due = begun + (start + 2 * _CHUNK) / 2 / _RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await stream.send(clip.pcm[start : start + 2 * _CHUNK])
        await stream.send('{"type": "end"}')
        ended = time.perf_counter()
        await listening
        return " ".join(filter(None, finals)), time.perf_counter() - ended


async def repeat(
    until: float,
    tally: Tally,
    order: random.Random,
    given: list[Clip],
    expected: list[str],
    ask: Callable[[Clip], Awaitable[tuple[str, float]]],
) -> None:
    """One client: asks again and again."""
    while time.perf_counter() < until:
        place = order.randrange(len(given))
        try:
            text, seconds = await ask(given[place])
        except Exception as error:
            tally.failed.append(f"{type(error).__name__}: {error}")
            continue
        tally.seconds.append(seconds)
        tally.audio += given[place].seconds
        tally.different += text != expected[place]


async def load(
    url: str, given: list[Clip], expected: tuple[list[str], list[str]], seconds: float, count: int
) -> tuple[Tally, Tally, float]:
    """Half of the clients send files, half stream; what came of them, and how long it took."""
    files, streams = Tally(), Tally()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    begun = time.perf_counter()
    until = begun + seconds
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        jobs = []
        for number in range(count):
            order = random.Random(number)
            if number % 2:
                ask = lambda clip: send_stream(url, clip)  # noqa: E731
                jobs.append(repeat(until, streams, order, given, expected[1], ask))
            else:
                ask = lambda clip: send_file(client, clip)  # noqa: E731
                jobs.append(repeat(until, files, order, given, expected[0], ask))
        await asyncio.gather(*jobs)
    return files, streams, time.perf_counter() - begun


async def serial(url: str, given: list[Clip]) -> tuple[Tally, Tally, tuple[list[str], list[str]]]:
    """One client alone; its answers are what others are compared with."""
    files, streams = Tally(), Tally()
    texts: tuple[list[str], list[str]] = ([], [])
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        for clip in given:
            text, seconds = await send_file(client, clip)
            texts[0].append(text)
            files.seconds.append(seconds)
            files.audio += clip.seconds
        for place, clip in enumerate(given):
            # Some at the speed of speech; what they say does not depend on it.
            text, seconds = await send_stream(url, clip, is_live=place < 8)
            texts[1].append(text)
            if place < 8:
                streams.seconds.append(seconds)
                streams.audio += clip.seconds
    return files, streams, texts


class BadClients:
    """Threads that do what clients must not, until they are told to stop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stopped = threading.Event()
        self.done: dict[str, int] = {}
        kinds = (self.too_large, self.nonsense, self.slow, self.half_closed, self.gone, self.noise)
        self._threads = [threading.Thread(target=self._repeat, args=[kind]) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, kind: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            # Dropped, as they may be.
            with contextlib.suppress(OSError, httpx.HTTPError):
                kind()
            self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
            time.sleep(0.2)

    def _connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._server.port), timeout=20)

    def _post(self, content: bytes) -> None:
        answer = httpx.post(
            f"{self._server.url}/v1/audio/transcriptions",
            files={"file": ("clip", content)},
            data={"model": "model"},
            timeout=60,
        )
        assert answer.status_code in (400, 413, 503), answer.status_code

    def too_large(self) -> None:
        with self._connection() as connection:
            head = (
                b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
            )
            kind = b"\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
            connection.sendall(head + kind)
            head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            connection.sendall(b"%x\r\n%s\r\n" % (len(head), head))
            for _ in range(300):
                connection.sendall(b"20000\r\n" + bytes(0x20000) + b"\r\n")
            assert b" 413 " in connection.recv(1000)

    def nonsense(self) -> None:
        with self._connection() as connection:
            connection.sendall(os.urandom(2000) + b"\r\n\r\n")
            connection.recv(1000)

    def noise(self) -> None:
        self._post(os.urandom(20_000))

    def slow(self) -> None:
        with self._connection() as connection:
            for byte in b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nX: ":
                connection.sendall(bytes([byte]))
                if self._stopped.wait(0.2):
                    return

    def half_closed(self) -> None:
        with self._connection() as connection:
            connection.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass

    def gone(self) -> None:
        with self._connection() as connection:
            length = 2_000_000
            head = f"Host: a\r\nContent-Length: {length}\r\nContent-Type: multipart/form-data; "
            connection.sendall(
                f"POST /v1/audio/transcriptions HTTP/1.1\r\n{head}boundary=x\r\n\r\n".encode()
            )
            connection.sendall(bytes(100_000))


def ended(server: Server, given: list[Clip], expected: list[str]) -> str:
    """SIGTERM while clients ask: what became of requests that were accepted before it."""
    results: list[tuple[float, float, str]] = []
    told = [float("inf")]
    head_sent = threading.Barrier(_CLIENTS.value + 1)

    def ask(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=120) as client:
            client.get("/healthz")
            head_sent.wait()
            place = number % len(given)
            begun = time.monotonic()
            try:
                answer = client.post(
                    "/v1/audio/transcriptions",
                    files={"file": ("clip", given[place].content)},
                    data={"model": "model"},
                )
            except httpx.HTTPError as error:
                results.append((begun, time.monotonic(), type(error).__name__))
                return
            if answer.status_code == 200:
                outcome = "200" if answer.json()["text"] == expected[place] else "different"
            else:
                outcome = f"{answer.status_code} {answer.json()['error']['code']}"
            results.append((begun, time.monotonic(), outcome))

    threads = [threading.Thread(target=ask, args=[n]) for n in range(_CLIENTS.value)]
    for thread in threads:
        thread.start()
    head_sent.wait()
    time.sleep(0.1)
    told[0] = time.monotonic()
    status = server.end()
    gone = time.monotonic() - told[0]
    for thread in threads:
        thread.join()
    counts: dict[str, int] = {}
    for _, _, outcome in results:
        counts[outcome] = counts.get(outcome, 0) + 1
    after = sum(outcome == "200" and end > told[0] for _, end, outcome in results)
    said = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(counts.items()))
    return f"{said}; {after} answered after SIGTERM; exit status {status} after {gone:.1f} s"


def alone(given: list[Clip]) -> tuple[float, float]:
    """Seconds of audio a second by one recogniser without a server: of files, and of streams."""
    recognizer = Recognizer(_MODEL.value)
    # The first call makes kernels.
    recognizer.recognize(np.frombuffer(given[0].pcm, np.int16))
    begun = time.perf_counter()
    for clip in given:
        file = AudioFile(io.BytesIO(clip.content), "clip")
        recognizer.recognize(np.concatenate(list(file.blocks())))
    files = time.perf_counter() - begun
    begun = time.perf_counter()
    for clip in given:
        pcm = np.frombuffer(clip.pcm, np.int16)
        for _ in recognizer.listen(pcm[i : i + _CHUNK] for i in range(0, len(pcm), _CHUNK)):
            pass
    seconds = sum(clip.seconds for clip in given)
    return seconds / files, seconds / (time.perf_counter() - begun)


def recogniser_megabytes() -> list[tuple[int, float]]:
    """Resident memory of servers of 1, 2 and 4 recognisers, before any request."""
    found = []
    for count in (1, 2, 4):
        server = Server(f"--workers={count}")
        found.append((count, server.megabytes()))
        server.end()
    return found


def main(_: list[str]) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    given, parts = clips(), _PARTS.value
    seconds = 6.0 if _QUICK.value else _SECONDS.value
    server = Server()
    try:
        files, streams, expected = asyncio.run(serial(server.url, given))
        head = "| clients | answers | failed | different | p50 | p95 | p99 | audio s/s |"
        print(f"{head}\n|---|---|---|---|---|---|---|---|")
        print(files.row("1 file after the other", sum(files.seconds)))
        print(streams.row("1 stream after the other", streams.audio))
        if "serial" in parts:
            by_files, by_streams = alone(given)
            print(
                f"\nOne recogniser without a server, on one CPU: {by_files:.0f} s of audio a "
                f"second of files, {by_streams:.0f} of streams.\n"
            )
        for part in ("load", "bad"):
            if part not in parts:
                continue
            bad = BadClients(server) if part == "bad" else None
            cpu = server.cpu_seconds()
            found = asyncio.run(load(server.url, given, expected, seconds, _CLIENTS.value))
            files, streams, wall = found
            cpu = (server.cpu_seconds() - cpu) / wall
            name = f"{_CLIENTS.value}{', bad ones beside them' if bad else ''}"
            print(files.row(f"{name}: files", wall))
            print(streams.row(f"{name}: streams", wall))
            print(f"\nThe server used {cpu:.2f} CPUs.", flush=True)
            for failure in sorted(set(files.failed + streams.failed))[:5]:
                print(f"failed: {failure}")
            if bad is not None:
                bad.stop()
                print(f"Bad clients, requests of each kind: {bad.done}")
        if "memory" in parts:
            rest = 60 * (0.3 if _QUICK.value else _MINUTES.value)
            marks = []
            for _ in range(6):
                asyncio.run(load(server.url, given, expected, rest / 6, _CLIENTS.value))
                marks.append(server.megabytes())
            shown = ", ".join(f"{mark:.0f}" for mark in marks)
            print(f"Resident memory in six parts of {rest:.0f} s of load: {shown} MB")
        if "end" in parts:
            print("SIGTERM:", ended(server, given, expected[0]))
    finally:
        server.popen.kill()
    if "memory" in parts:
        found = recogniser_megabytes()
        print("Resident memory of 1, 2, 4 recognisers:", ", ".join(f"{m:.0f} MB" for _, m in found))


if __name__ == "__main__":
    app.run(main)
