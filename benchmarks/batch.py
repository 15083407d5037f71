"""Recognising many files: `transcribe_many` against `transcribe` in a loop.

    python benchmarks/batch.py --model=model.tflite --manifest=PATH/an4/manifest.jsonl

runs, over the same files and each in processes of its own,

    transcribe, all files    one `int4-conformer transcribe MODEL FILE... --json`
    transcribe, file by file a shell's loop over `int4-conformer transcribe MODEL FILE --json`,
                             measured on the first `--loop` files
    transcribe_many          `int4-conformer transcribe_many` with 1 worker, and with more
    Beam                     `export/batch/transcribe.py`, where Apache Beam is installed

and prints seconds of audio for a second of the processors' time, all processes of a run together,
and for a second on the clock. Times are of whole runs, from the start of Python to its end.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from int4_conformer.audio import audio_files
from int4_conformer.batch.audio_inputs import read_inputs
from int4_conformer.batch.file_access import LocalFiles

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "The .tflite file.", required=True)
flags.DEFINE_string("manifest", None, "Of the files.", required=True)
flags.DEFINE_integer("files", 300, "Files, the first of the manifest.")
flags.DEFINE_integer("loop", 20, "Files of the loop that starts a program for each.")
flags.DEFINE_list("workers", ["1", "2"], "Numbers of workers.")
flags.DEFINE_string("beam_python", None, "Python that has Apache Beam.")

_ROOT = Path(__file__).parents[1]
_COMMAND = ("-m", "int4_conformer.cli.main")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Took:
    """Seconds on the clock, and of the processors."""

    wall: float
    processors: float

    def row(self, name: str, audio_seconds: float) -> str:
        return (
            f"| {name} | {self.wall:.1f} s | {self.processors:.1f} s | "
            f"{audio_seconds / self.processors:.0f}x | {audio_seconds / self.wall:.0f}x |"
        )


def main(_: list[str]) -> None:
    recordings = read_inputs([FLAGS.manifest], LocalFiles())[: FLAGS.files]
    paths = [recording.audio for recording in recordings]
    seconds = [audio_files.duration(path) for path in paths]
    total, model = sum(seconds), FLAGS.model
    print(f"{len(paths)} files, {total / 60:.1f} minutes")
    print("| | clock | processors | audio / processors | audio / clock |\n|---|---|---|---|---|")

    def show(name: str, took: _Took, audio_seconds: float = total) -> None:
        print(took.row(name, audio_seconds), flush=True)

    show("transcribe, all files", _run([*_COMMAND, "transcribe", model, *paths, "--json"]))
    looped = [
        _run([*_COMMAND, "transcribe", model, path, "--json"]) for path in paths[: FLAGS.loop]
    ]
    show(
        "transcribe, file by file",
        _Took(wall=sum(x.wall for x in looped), processors=sum(x.processors for x in looped)),
        sum(seconds[: FLAGS.loop]),
    )
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "files.jsonl"
        inputs.write_text("".join(json.dumps({"audio": path}) + "\n" for path in paths))
        for workers in FLAGS.workers:
            given = [model, str(inputs), f"--output={folder}/{workers}", "--shard_minutes=2"]
            took = _run([*_COMMAND, "transcribe_many", *given, f"--workers={workers}"])
            show(f"transcribe_many, workers: {workers}", took)
        if FLAGS.beam_python:
            program = str(_ROOT / "export" / "batch" / "transcribe.py")
            given = [model, str(inputs), f"--output={folder}/beam", "--shard_minutes=2"]
            workers = FLAGS.workers[-1]
            took = _run(
                [program, *given, "--", f"--direct_num_workers={workers}"], FLAGS.beam_python
            )
            show(f"Beam, workers: {workers}", took)


def _run(arguments: Sequence[str], python: str = sys.executable) -> _Took:
    begun, before = time.perf_counter(), os.times()
    subprocess.run(
        [python, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
    )
    after = os.times()
    processors = sum(
        getattr(after, name) - getattr(before, name)
        for name in ("children_user", "children_system")
    )
    return _Took(wall=time.perf_counter() - begun, processors=processors)


if __name__ == "__main__":
    app.run(main)
