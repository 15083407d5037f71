"""Loads a server with several clients at once, and prints what it can do.

    python export/tf_serving/load_client.py localhost:8500 --clients=32 --seconds=30 *.wav

Each client sends one request after the other, each a file. What batching is worth shows with more
clients than the server has cores.
"""

import argparse
import dataclasses
import struct
import threading
import time
from collections.abc import Sequence

import command_line
import numpy as np
from recognition_client import SAMPLE_RATE, Client, ClientError, read_audio


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What came of a load."""

    # Answered requests, by the seconds that each took.
    latencies: tuple[float, ...]
    # Sentences of the others.
    errors: tuple[str, ...]
    # Of the audio that was recognised.
    audio_seconds: float
    # From the first request to the last answer.
    wall_seconds: float

    def __str__(self) -> str:
        """Lines of a name and a value, between them a tab."""
        lines = {
            "requests": f"{len(self.latencies) + len(self.errors)}",
            "errors": f"{len(self.errors)}",
            "requests/s": f"{len(self.latencies) / self.wall_seconds:.1f}",
            "audio s/s": f"{self.audio_seconds / self.wall_seconds:.1f}",
        }
        if self.latencies:
            for percent in (50, 95, 99):
                lines[f"p{percent}"] = f"{1e3 * np.percentile(self.latencies, percent):.0f} ms"
        return "\n".join(f"{name}\t{value}" for name, value in lines.items())


def run_load(
    client: Client, audio: Sequence[bytes | np.ndarray], *, clients: int, seconds: float
) -> Load:
    """Sends requests from several threads.

    Args:
        client: of the server; all threads share it.
        audio: as `read_audio` gives it; every thread goes through it in its own order.
        clients: how many threads.
        seconds: after which no request is sent any more.
    """
    lengths = [audio_seconds(x) for x in audio]
    latencies: list[float] = []
    heard: list[float] = []
    errors: list[str] = []
    start = time.perf_counter()

    def send(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while (sent := time.perf_counter()) < start + seconds:
            index = rng.integers(len(audio))
            given = audio[index]
            try:
                if isinstance(given, bytes):
                    client.transcribe_bytes(given)
                else:
                    client.transcribe(given)
            except ClientError as error:
                errors.append(str(error))
            else:
                latencies.append(time.perf_counter() - sent)
                heard.append(lengths[index])

    threads = [threading.Thread(target=send, args=[seed], daemon=True) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(
        latencies=tuple(latencies),
        errors=tuple(errors),
        audio_seconds=sum(heard),
        wall_seconds=time.perf_counter() - start,
    )


def audio_seconds(audio: bytes | np.ndarray) -> float:
    """How long audio is; of a WAV file by its rate of bytes, 0 if its header has none."""
    if not isinstance(audio, bytes):
        return len(audio) / SAMPLE_RATE
    place, rate = 12, 0
    while place + 8 <= len(audio):
        name, size = struct.unpack_from("<4sI", audio, place)
        place += 8
        if name == b"fmt " and place + 12 <= len(audio):
            (rate,) = struct.unpack_from("<I", audio, place + 8)
        if name == b"data":
            # Headers of pipes claim more than there is.
            return min(size, len(audio) - place) / rate if rate else 0.0
        place += size + size % 2
    return 0.0


def main(argv: Sequence[str]) -> int:
    """Prints a table; 1 if a request failed."""
    parser = command_line.Parser(prog="load_client.py", description=__doc__.splitlines()[0])
    command_line.add_server_arguments(parser)
    parser.add_argument("files", metavar="FILE", nargs="+", help="what the clients send")
    parser.add_argument("--clients", type=_count, default=8, help="clients at once")
    parser.add_argument(
        "--seconds", type=command_line.positive, default=10.0, help="how long they go on"
    )
    values = parser.parse_intermixed_args(argv)
    client = command_line.connected(values)
    audio = [read_audio(path) for path in values.files]
    # Before the clock starts: the connection, and what is wrong with the address.
    client.signatures()
    load = run_load(client, audio, clients=values.clients, seconds=values.seconds)
    print(load)
    for error in sorted(set(load.errors))[:5]:
        print(f"error\t{error}")
    return 1 if load.errors else 0


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"it must be at least 1. Received: {text}")
    return value


if __name__ == "__main__":
    command_line.run(main)
