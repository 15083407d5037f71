"""Gives parsers inputs that were damaged or made to harm, and counts what comes of them.

    python benchmarks/fuzz.py --minutes=30

Each parser of what strangers may write has valid inputs, which are changed at random: by bytes, and
where they are JSON, by keys and values. It runs in a process of its own that has a gigabyte. The
columns:

    inputs    That were tried.
    fine      Taken all the same.
    refused   With a sentence for the user.
    raised    An exception that is no such sentence.
    memory    More than a gigabyte was asked for.
    crashed   The process ended.
    hung      Nothing came of it within `--patience` seconds.

Exits with 1 if there are any of the last four; their inputs, and what was raised, are in the folder
`--keep`. The same seed gives the same inputs; another one, others.
"""

import concurrent.futures
import dataclasses
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from absl import app, flags
from fuzz_targets import TARGETS
from fuzz_worker import STATE, STATE_BYTES

FLAGS = flags.FLAGS
flags.DEFINE_float("minutes", 10.0, "For all together.", lower_bound=0.01)
flags.DEFINE_integer("inputs", 1_000_000, "Of each parser at most.", lower_bound=1)
flags.DEFINE_list("only", None, f"Parsers: {', '.join(TARGETS)}.")
flags.DEFINE_integer("seed", 0, "Of the changes.")
flags.DEFINE_float("patience", 30.0, "Seconds of one input, after which it hangs.")
flags.DEFINE_integer("processes", os.cpu_count(), "At a time.", lower_bound=1)
flags.DEFINE_string("keep", "build/fuzz", "Folder for inputs that are not refused as they should.")

COLUMNS = ("fine", "refused", "raised", "memory", "crashed", "hung")
_START_SECONDS = 120.0


@dataclasses.dataclass
class _Worker:
    """A process that runs inputs from one on, and what is known of it."""

    name: str
    first: int
    folder: Path

    def __post_init__(self) -> None:
        file = self.folder / f"{self.name}.state"
        file.write_bytes(STATE.pack(0, 0, 0, 0, -1, 0) + bytes(STATE_BYTES - STATE.size))
        with file.open("rb") as opened:
            self._state = mmap.mmap(opened.fileno(), STATE_BYTES, access=mmap.ACCESS_READ)
        self._log = (self.folder / f"{self.name}.log").open("w+b")
        program = Path(__file__).with_name("fuzz_worker.py")
        given = [self.name, FLAGS.seed, self.first, file, FLAGS.keep]
        self.process = subprocess.Popen(
            [sys.executable, program, *map(str, given)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    def state(self) -> tuple[Counter[str], int, bytes]:
        """Outcomes so far, the number of the input that is tried, and the input."""
        *counts, index, size = STATE.unpack(self._state[: STATE.size])
        content = self._state[STATE.size : STATE.size + size]
        return Counter(dict(zip(COLUMNS, counts, strict=False))), index, content

    def stop(self) -> str:
        """Ends it; returns the end of what it has said."""
        self.process.kill()
        self.process.wait()
        self._log.seek(0)
        return self._log.read()[-3000:].decode(errors="replace")


def _run(name: str, seconds: float, folder: Path) -> tuple[str, Counter[str]]:
    """What comes of a parser's inputs within some seconds, or of as many as `--inputs`."""
    total: Counter[str] = Counter()
    first, until = 0, time.monotonic() + seconds
    while True:
        worker = _Worker(name, first, folder)
        ended = _watched(worker, until)
        said = worker.stop()
        counts, index, content = worker.state()
        if index < 0:
            raise RuntimeError(f"{name} did not begin:\n{said}")
        total += counts
        if ended == "over":
            return name, total
        total[ended] += 1
        path = Path(FLAGS.keep) / f"{name}-{ended}-{index}"
        path.with_suffix(".input").write_bytes(content)
        path.with_suffix(".txt").write_text(f"{ended}\n{said}")
        first = index + 1
        if first >= FLAGS.inputs or time.monotonic() > until:
            return name, total


def _watched(worker: _Worker, until: float) -> str:
    """Waits for the end of a worker, and tells which it is: over, crashed or hung."""
    last, since = -1, time.monotonic()
    while True:
        time.sleep(0.2)
        _, index, _ = worker.state()
        now = time.monotonic()
        if worker.process.poll() is not None:
            return "crashed"
        if index != last:
            last, since = index, now
        elif now - since > (FLAGS.patience if index >= 0 else _START_SECONDS):
            return "hung"
        is_busy = now - since < 1
        if index >= 0 and (index >= FLAGS.inputs or (now > until and is_busy)):
            return "over"


def main(arguments: list[str]) -> None:
    names = FLAGS.only or list(TARGETS)
    Path(FLAGS.keep).mkdir(parents=True, exist_ok=True)
    seconds = 60 * FLAGS.minutes * min(FLAGS.processes, len(names)) / len(names)
    print(f"| parser | inputs | {' | '.join(COLUMNS)} |")
    print("|---|" + "---|" * (1 + len(COLUMNS)), flush=True)
    everything: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(FLAGS.processes) as pool,
    ):
        for name, counts in pool.map(lambda name: _run(name, seconds, Path(folder)), names):
            everything += counts
            _print_row(name, counts)
    _print_row("all", everything)
    if any(everything[column] for column in COLUMNS[2:]):
        print(f"What was not refused as it should lies in {FLAGS.keep}.")
        sys.exit(1)


def _print_row(name: str, counts: Counter[str]) -> None:
    cells = [sum(counts.values()), *(counts[column] for column in COLUMNS)]
    print(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    app.run(main)
