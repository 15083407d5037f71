"""Damaged .tflite files: each is refused with a sentence, or works; none brings the process down.

    python benchmarks/damaged_files.py MODEL.tflite

makes damaged copies of a recogniser's file, each in one of the ways that the rows of the table
name, and gives each to a process that opens it as a program would: it is inspected, and if
`Recognizer` takes it, hears a fifth of a second, whole, with phrases and, if it can, as a stream.
The checksum of every copy is made right again, but for one in eleven, so that the checks behind it
have to see the damage. The columns:

    files     Damaged copies; those that came out as the original are not counted.
    refused   With a sentence, when opened or when first heard with.
    works     Damage that cannot be seen, as that of a weight, or that does not matter.
    crashed   The process ended, by a signal for example.
    hung      Nothing came of it in a minute.
    raised    An exception that is no sentence for a user.

Exits with 1 if anything crashed, hung or raised. `--keep=FOLDER` keeps those files.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags

from int4_conformer.tflite import flat_tables

FLAGS = flags.FLAGS
flags.DEFINE_integer("files", 2000, "Damaged copies.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the damage.")
flags.DEFINE_list("kinds", None, "Rows of the table; all if not given.")
flags.DEFINE_integer("processes", os.cpu_count(), "At a time.", lower_bound=1)
flags.DEFINE_string("keep", None, "Folder for the files that crashed, hung or raised.")

COLUMNS = ("refused", "works", "crashed", "hung", "raised")
_PATIENCE_SECONDS = 60
_SEALED = b'"sha256": "'
_DIGITS = 64

# Opens the files whose paths come line by line, and tells of each.
_PROGRAM = """
import json, sys
import numpy as np
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.tflite.inspection import inspect_tflite

pcm = np.random.default_rng(0).uniform(-0.3, 0.3, 3200).astype(np.float32)

def hear(path):
    recognizer = Recognizer(path, gated=False)
    recognizer.transcribe(pcm)
    if recognizer.metadata.spelling is not None:
        phrase = next(x for x in recognizer.vocabulary.pieces[1:] if x.isalpha())
        recognizer.transcribe(pcm, phrases=[phrase])
    if recognizer.hears_streams:
        stream = recognizer.stream()
        stream.feed(pcm)
        stream.finish()

ORDER = ("works", "refused", "raised")

for line in sys.stdin:
    outcomes = [("works", "")]
    for act in (hear, lambda path: inspect_tflite(path).table()):
        try:
            act(line.strip())
        except UserError as error:
            outcomes.append(("refused", str(error)))
        except Exception as error:
            outcomes.append(("raised", f"{type(error).__name__}: {error}"))
    print(json.dumps(max(outcomes, key=lambda outcome: ORDER.index(outcome[0]))), flush=True)
"""


class Original:
    """A file, and where its parts are."""

    def __init__(self, content: bytes):
        self.content = content
        self.digest = content.rindex(_SEALED) + len(_SEALED)
        self.entry = content.rindex(b'{"format"', 0, self.digest)
        root = flat_tables.root(content)
        self.codes = root.vectors(1, 4).tables()
        subgraphs = root.vectors(2, 4).tables()
        self.subgraphs = subgraphs
        self.tensors = subgraphs.vectors(0, 4).tables()
        self.operators = subgraphs.vectors(3, 4).tables()
        self.quantizations = self.tensors.parts(4)
        self.signatures = root.vectors(7, 4).tables()
        buffers = root.vectors(4, 4).tables()
        self.buffers = buffers
        self.values = buffers.vectors(0, 1)
        held = np.zeros(len(content), bool)
        for start, length in zip(self.values.starts, self.values.lengths, strict=True):
            held[start : start + length] = True
        outside = [buffers.numbers(field, "<u8").astype(np.int64) for field in (1, 2)]
        for start, length in zip(*outside, strict=True):
            held[start : start + length] = True
        # What is no value of a tensor.
        self.structure = np.flatnonzero(~held)


class Damage:
    """One copy, on its way to be damaged."""

    def __init__(self, original: Original, rng: np.random.Generator):
        self.original = original
        self.rng = rng
        self.content = bytearray(original.content)

    def any_of(self, places: np.ndarray) -> int:
        """One of the places that there are; 0 stands for none."""
        return int(self.rng.choice(places[places > 0]))

    def set_word(self, place: int) -> None:
        """Sets a 32-bit number to another that is odd in one of several ways."""
        old = int.from_bytes(self.content[place : place + 4], "little", signed=True)
        new = (
            old + int(self.rng.integers(-3, 4)),
            old ^ 1 << int(self.rng.integers(31)),
            int(self.rng.integers(300)),
            int(self.rng.choice([0, 1, -1, 2, 127, 255, 65535, 2**31 - 1, -(2**31), 2**30])),
        )[self.rng.integers(4)]
        self.content[place : place + 4] = (new & 0xFFFFFFFF).to_bytes(4, "little")

    def set_byte(self, place: int, most: int = 256) -> None:
        self.content[place] = int(self.rng.integers(most))

    def truncated(self) -> None:
        del self.content[self.rng.integers(8, len(self.content)) :]

    def bits_flipped(self) -> None:
        for place in self.rng.choice(self.original.structure, self.rng.integers(1, 9)):
            self.content[place] ^= 1 << int(self.rng.integers(8))

    def sector_lost(self) -> None:
        size = int(self.rng.choice([4, 16, 64, 512, 4096]))
        start = int(self.rng.integers(len(self.content)))
        size = len(self.content[start : start + size])
        lost = bytes(size) if self.rng.integers(2) else self.rng.bytes(size)
        self.content[start : start + size] = lost

    def offset(self) -> None:
        """Any 32 bits of the structure, most of which are offsets."""
        self.set_word(int(self.rng.choice(self.original.structure)) & ~3)

    def shape(self) -> None:
        self.set_word(self.any_of(self.original.tensors.vectors(0, 4).positions()))

    def rank(self) -> None:
        shapes = self.original.tensors.vectors(0, 4)
        self.set_word(self.any_of(shapes.starts) - 4)

    def tensor_type(self) -> None:
        self.set_byte(self.any_of(self.original.tensors.places(1)), 24)

    def buffer(self) -> None:
        place = self.any_of(self.original.tensors.places(2))
        index = int(self.rng.integers(len(self.original.buffers) + 2))
        self.content[place : place + 4] = index.to_bytes(4, "little")

    def operator_code(self) -> None:
        codes, new = self.original.codes, int(self.rng.integers(160))
        which = int(self.rng.integers(len(codes)))
        if place := codes.places(0)[which]:
            self.content[place] = min(new, 127)
        if place := codes.places(3)[which]:
            self.content[place : place + 4] = new.to_bytes(4, "little")

    def operator_kind(self) -> None:
        place = self.any_of(self.original.operators.places(0))
        index = int(self.rng.integers(len(self.original.codes) + 1))
        self.content[place : place + 4] = index.to_bytes(4, "little")

    def operands(self) -> None:
        field = int(self.rng.integers(1, 3))
        vectors = self.original.operators.vectors(field, 4)
        if self.rng.integers(6):
            self.set_word(self.any_of(vectors.positions()))
        else:
            self.set_word(self.any_of(vectors.starts) - 4)

    def options(self) -> None:
        operators = self.original.operators
        if not self.rng.integers(4):
            self.set_byte(self.any_of(operators.places(3)), 127)
            return
        fields = np.concatenate([operators.parts(4).places(field) for field in range(6)])
        self.set_word(self.any_of(fields))

    def scales(self) -> None:
        field, size = (2, 4) if self.rng.integers(2) else (3, 8)
        vectors = self.original.quantizations.vectors(field, size)
        if self.rng.integers(2):
            self.set_word(self.any_of(vectors.starts) - 4)
        else:
            self.set_word(self.any_of(vectors.positions()))

    def small_constant(self) -> None:
        """Sizes, axes and indices, as far as they are constants."""
        starts, lengths = self.original.values.starts, self.original.values.lengths
        which = int(self.rng.choice(np.flatnonzero((lengths >= 4) & (lengths <= 64))))
        self.set_word(int(starts[which]) + 4 * int(self.rng.integers(lengths[which] // 4)))

    def weight(self) -> None:
        starts, lengths = self.original.values.starts, self.original.values.lengths
        which = int(self.rng.choice(np.flatnonzero(lengths > 64)))
        self.set_byte(int(starts[which] + self.rng.integers(lengths[which])))

    def buffer_size(self) -> None:
        starts, lengths = self.original.values.starts, self.original.values.lengths
        which = int(self.rng.choice(np.flatnonzero(lengths)))
        size = int(lengths[which])
        sizes = [0, 1, size // 2, size - 1, size - 4, size + 4, 2 * size, 2**31 - 1]
        new = int(self.rng.choice(sizes)) & 0xFFFFFFFF
        self.content[starts[which] - 4 : starts[which]] = new.to_bytes(4, "little")

    def metadata(self) -> None:
        place = int(self.rng.integers(self.original.entry, self.original.digest))
        self.content[place] = int(self.rng.choice(list(b'0123456789{}[]", abc-')))

    def signature(self) -> None:
        signatures = self.original.signatures
        maps = [signatures.vectors(field, 4).tables().places(1) for field in (0, 1)]
        self.set_word(self.any_of(np.concatenate([signatures.places(4), *maps])))

    def name(self) -> None:
        """Of a signature, or of what it takes or gives."""
        signatures = self.original.signatures
        maps = [signatures.vectors(field, 4).tables().vectors(0, 1) for field in (0, 1)]
        texts = [x.positions() for x in (signatures.vectors(2, 1), *maps)]
        self.set_byte(self.any_of(np.concatenate(texts)))

    def subgraph_ends(self) -> None:
        field = int(self.rng.integers(1, 3))
        self.set_word(self.any_of(self.original.subgraphs.vectors(field, 4).positions()))


KINDS: dict[str, Callable[[Damage], None]] = {
    name: method
    for name, method in vars(Damage).items()
    if name not in ("__init__", "any_of", "set_word", "set_byte") and callable(method)
}


def damaged(original: Original, kind: str, seed: tuple[int, int], sealed: bool) -> bytes:
    """A copy with one damage, and perhaps the checksum that belongs to it."""
    damage = Damage(original, np.random.default_rng(seed))
    KINDS[kind](damage)
    content = damage.content
    end = original.digest + _DIGITS
    if sealed and len(content) >= end:
        content[original.digest : end] = b"0" * _DIGITS
        content[original.digest : end] = hashlib.sha256(content).hexdigest().encode()
    return bytes(content)


class Worker:
    """A process that opens files, and a fresh one after each that did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def open(self, path: Path) -> tuple[str, str]:
        """What came of a file, and in which words."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        with contextlib.suppress(BrokenPipeError):
            print(path, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else None
        if line:
            kind, words = json.loads(line)
            return kind, words
        self.stop()
        return ("hung", "") if line is None else ("crashed", "")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main(arguments: list[str]) -> None:
    original = Original(Path(arguments[1]).read_bytes())
    kinds = FLAGS.kinds or list(KINDS)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    words: Counter[str] = Counter()
    workers: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for _ in range(FLAGS.processes):
        workers.put(Worker())
    with tempfile.TemporaryDirectory() as folder:

        def try_one(number: int) -> None:
            kind = kinds[number % len(kinds)]
            content = damaged(original, kind, (FLAGS.seed, number), sealed=number % 11 != 10)
            if content == original.content:
                return
            path = Path(folder) / f"{kind}_{FLAGS.seed}_{number}.tflite"
            path.write_bytes(content)
            worker = workers.get()
            outcome, said = worker.open(path)
            workers.put(worker)
            counts[kind][outcome] += 1
            if outcome in COLUMNS[2:]:
                words[f"{outcome}: {path.name} {said}"] += 1
                if FLAGS.keep:
                    Path(FLAGS.keep).mkdir(parents=True, exist_ok=True)
                    path.rename(Path(FLAGS.keep) / path.name)
            path.unlink(missing_ok=True)

        with concurrent.futures.ThreadPoolExecutor(FLAGS.processes) as pool:
            for done, _ in enumerate(pool.map(try_one, range(FLAGS.files)), 1):
                if done % 500 == 0:
                    print(f"{done} of {FLAGS.files}", file=sys.stderr, flush=True)
        while not workers.empty():
            workers.get().stop()
    print(f"| damaged | files | {' | '.join(COLUMNS)} |")
    print("|---|" + "---|" * (1 + len(COLUMNS)))
    total = Counter()
    for kind in kinds:
        total.update(counts[kind])
        _print_row(kind.replace("_", " "), counts[kind])
    _print_row("all", total)
    for line, _ in words.most_common():
        print(line)
    if words:
        sys.exit(1)


def _print_row(name: str, counts: Counter[str]) -> None:
    cells = [sum(counts.values()), *(counts[column] for column in COLUMNS)]
    print(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |")


if __name__ == "__main__":
    app.run(main)
