"""Runs that are stopped at random moments end as one that never was: the same numbers, bit for bit.

    python benchmarks/kill.py

trains a small recogniser to its end, and again with SIGKILL at 20 random moments, each time going
on by the same command line; then the same with SIGTERM and with SIGINT, which is Ctrl-C. Of four
moments one is in the start of a process, one anywhere in its training, and two are aimed within the
writing of a checkpoint. A run that comes to its end before all signals are sent is followed by
another.

What is compared: every tensor of the last and of the best checkpoint (weights, optimizer, running
average, random state, step), and steps, losses and word errors of all evaluations. Exits with 1 if
anything differs. The columns:

    signals               How often a process was stopped.
    within a checkpoint   In how many of these one was being written.
    went on from          Different steps from which training went on.
    runs                  Trainings from the first to the last step.
    differing             Tensors and evaluations that differ, in all runs.

Without `--manifest` the corpus is noise, and the recogniser has one block of width 16.
"""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 20, "Signals of each kind.", lower_bound=1)
flags.DEFINE_list("signals", ["SIGKILL", "SIGTERM", "SIGINT"], "Which.")
flags.DEFINE_integer("steps", 200, "Steps of a run.")
flags.DEFINE_integer("seed", 0, "Seed of the moments.")
flags.DEFINE_string("manifest", None, "A corpus with the splits train and dev.")
flags.DEFINE_string("preset", "smallest", "The recogniser.")
flags.DEFINE_float("batch_seconds", 4.0, "Seconds of audio in a batch.")

ROOT = Path(__file__).resolve().parents[1]

# `int4-conformer`, with one more preset.
_PROGRAM = """
from int4_conformer.cli.main import main
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.models.presets import PRESETS, Preset

encoder = EncoderConfig(dim=16, blocks=1, heads=2, kernel_size=5)
PRESETS["smallest"] = Preset(encoder=encoder, joint_dim=8)
main()
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """When to stop a process."""

    # Seconds from its start or, if `checkpoint` is not 0, from the first sign of that checkpoint.
    delay: float
    # Which of the checkpoints that the process writes, counted from 1.
    checkpoint: int = 0


class Process:
    """A process of the training command in a folder."""

    def __init__(self, command: list[str], folder: Path):
        self._partial = folder / "checkpoints" / "last" / "partial"
        self._begun = time.time()
        # A file, since nobody reads a pipe while waiting for the moment.
        self._log = folder.with_name(f"{folder.name}.log")
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                [*command, f"--workdir={folder}"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    def stop(self, number: signal.Signals, moment: Moment) -> bool | None:
        """Sends the signal, and says whether it came within a checkpoint; None: the training came
        to its end before."""
        if self.waits_until(moment):
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait()
            within = self._writes_checkpoint()
            self._process.wait()
            # It may have come to its end in that moment.
            return None if self._process.returncode == 0 else within
        self.finish()
        return None

    def finish(self) -> None:
        """Waits for the end of the training."""
        if self._process.wait():
            raise SystemExit(f"The training failed:\n{self._log.read_text()}")

    def waits_until(self, moment: Moment) -> bool:
        """Whether the moment came while the process lived."""
        seen, writing = 0, False
        while seen < moment.checkpoint:
            if self._process.poll() is not None:
                return False
            before, writing = writing, self._writes_checkpoint()
            seen += writing and not before
            time.sleep(0.001)
        time.sleep(moment.delay)
        return self._process.poll() is None

    def _writes_checkpoint(self) -> bool:
        try:
            # What a killed process left is older.
            return self._partial.stat().st_mtime > self._begun
        except FileNotFoundError:
            return False


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        command = _command(FLAGS.manifest or _write_corpus(temporary))
        begun = time.monotonic()
        process = Process(command, temporary / "uninterrupted")
        process.waits_until(Moment(delay=0, checkpoint=1))
        start = time.monotonic() - begun
        process.finish()
        expected = _outcome(temporary / "uninterrupted")
        print(f"{len(expected)} tensors and evaluations; {start:.0f} s to the first checkpoint")
        print("| signal | signals | within a checkpoint | went on from | runs | differing |")
        print("|---|---|---|---|---|---|", flush=True)
        differing = 0
        for number in map(signal.Signals.__getitem__, FLAGS.signals):
            differing += _stopped_again_and_again(command, number, temporary, start, expected)
    if differing:
        sys.exit(1)


def _stopped_again_and_again(
    command: list[str],
    number: signal.Signals,
    temporary: Path,
    start: float,
    expected: dict[str, Any],
) -> int:
    """Prints a row of the table, and returns how many tensors and evaluations differ."""
    rng = random.Random(f"{FLAGS.seed} {number.name}")
    sent = within = runs = 0
    steps: set[int] = set()
    differing: list[str] = []
    while sent < FLAGS.kills:
        runs += 1
        folder = temporary / f"{number.name}-{runs}"
        while sent < FLAGS.kills:
            stopped = Process(command, folder).stop(number, _moment(rng, sent, start))
            if stopped is None:
                break
            sent += 1
            within += stopped
            steps.add(_newest_step(folder / "checkpoints" / "last"))
        else:
            Process(command, folder).finish()
        differing += _differences(_outcome(folder), expected)
    print(
        f"| {number.name} | {sent} | {within} | {len(steps)} steps | {runs} | {len(differing)} |",
        *(f"  {name}" for name in differing[:5]),
        sep="\n",
        flush=True,
    )
    return len(differing)


def _moment(rng: random.Random, index: int, start: float) -> Moment:
    """In the start, which takes so many seconds, in the training, or within a checkpoint."""
    if index % 4 == 0:
        return Moment(delay=rng.uniform(0, start))
    longest = 1.0 if index % 4 == 2 else 0.03
    return Moment(delay=rng.uniform(0, longest), checkpoint=rng.randint(1, 4))


def _command(manifest: str | Path) -> list[str]:
    return [
        *(sys.executable, "-c", _PROGRAM, "train"),
        *(
            f"--manifest={Path(manifest).resolve()}",
            f"--preset={FLAGS.preset}",
            "--noxla",
            "--buckets=1",
        ),
        *(f"--steps={FLAGS.steps}", "--warmup=20", "--average=20"),
        *(f"--batch_seconds={FLAGS.batch_seconds}", f"--evaluate_every={max(1, FLAGS.steps // 3)}"),
        # Several in each second.
        "--checkpoint_minutes=0.003",
    ]


def _write_corpus(folder: Path) -> Path:
    """Writes noise of 0.3 to 1.2 s, with a manifest, whose path is returned."""
    rng = np.random.default_rng(0)
    lines = []
    for index in range(48):
        noise = rng.uniform(-0.3, 0.3, rng.integers(4800, 19200))
        soundfile.write(folder / f"{index}.wav", noise, 16000)
        text = "".join(rng.choice(list("abc de"), size=rng.integers(2, 6)))
        split = "train" if index % 8 else "dev"
        lines.append(json.dumps({"audio": f"{index}.wav", "text": f"a{text}", "split": split}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def _outcome(folder: Path) -> dict[str, Any]:
    """What a training leaves, by name: bytes of tensors, and values of evaluations."""
    found: dict[str, Any] = {}
    for kind in ("last", "best"):
        checkpoints = folder / "checkpoints" / kind
        found[f"step of {kind}"] = step = _newest_step(checkpoints)
        reader = tf.train.load_checkpoint(str(checkpoints / f"step-{step}"))
        for name in reader.get_variable_to_shape_map():
            # TensorFlow's own notes on which object is part of which are no numbers.
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH":
                found[f"{kind} {name}"] = np.asarray(reader.get_tensor(name)).tobytes()
    for number, line in enumerate((folder / "metrics.jsonl").read_text().splitlines(), 1):
        metrics = json.loads(line)
        found[f"evaluation {number}"] = {
            name: value
            for name, value in metrics.items()
            if name in ("step", "loss") or name.startswith("dev_wer")
        }
    return found


def _newest_step(checkpoints: Path) -> int:
    """Of the sealed checkpoints; 0 if there is none."""
    steps = (int(file.stem.removeprefix("step-")) for file in checkpoints.glob("step-*.json"))
    return max(steps, default=0)


def _differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


if __name__ == "__main__":
    app.run(main)
