"""Runs inputs of one target, and tells by memory that `fuzz.py` shares how far it has come.

    python benchmarks/fuzz_worker.py TARGET SEED FIRST STATE KEEP

Process and memory are bounded, so that whatever happens here happens to no one else.
"""

import contextlib
import hashlib
import mmap
import resource
import struct
import sys
import tempfile
import traceback
from pathlib import Path

from fuzz_inputs import MOST_BYTES
from fuzz_targets import TARGETS

from int4_conformer.errors import UserError

# What came of the inputs before this one, and its number and size; the input itself is behind.
STATE = struct.Struct("<6q")
STATE_BYTES = STATE.size + 2 * MOST_BYTES
# Beyond what the process has when it begins.
_MORE_MEMORY = 1 << 30
# Faults of one place that are kept.
_MOST_ALIKE = 3


def main(name: str, seed: int, first: int, state_file: Path, keep: Path) -> None:
    with state_file.open("r+b") as file:
        state = mmap.mmap(file.fileno(), STATE_BYTES)
    counts = {"fine": 0, "refused": 0, "raised": 0, "memory": 0}
    alike: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        mutator, act = TARGETS[name](Path(folder))
        for content in mutator.seeds:
            # What is loaded late, is loaded now. A model may lack what a valid input asks of it.
            with contextlib.suppress(UserError):
                act(mutator.finished(content))
        _limit_memory()
        index = first
        while True:
            content = mutator.input(seed, index)
            state[: STATE.size] = STATE.pack(*counts.values(), index, len(content))
            state[STATE.size : STATE.size + len(content)] = content
            try:
                act(content)
                outcome = "fine"
            except UserError:
                outcome = "refused"
            except Exception as error:
                outcome = "memory" if isinstance(error, MemoryError) else "raised"
                told = "".join(traceback.format_exception(error))
                place = _place(told)
                alike[place] = alike.get(place, 0) + 1
                if alike[place] <= _MOST_ALIKE:
                    _keep(keep / f"{name}-{place}-{index}", content, told)
            counts[outcome] += 1
            index += 1


def _place(told: str) -> str:
    """A name for where an error arose: errors of the same lines are one fault."""
    lines = [line for line in told.splitlines() if line.startswith("  File ")]
    return hashlib.sha256("".join(lines[-3:]).encode()).hexdigest()[:8]


def _keep(path: Path, content: bytes, told: str) -> None:
    path.with_suffix(".input").write_bytes(content)
    path.with_suffix(".txt").write_text(told, "utf-8", "backslashreplace")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _name, _seed, _first, _state_file, _keep_folder = sys.argv[1:]
    main(_name, int(_seed), int(_first), Path(_state_file), Path(_keep_folder))
