"""What each option of training is worth: a short run each, with one seed and one budget.

    python benchmarks/training_options.py --corpus=fsdd --manifest=PATH/fsdd --output=FOLDER

trains `tiny` with `int4-conformer train` and prints a table for RESULTS.md and docs/training.md.
Words are counted on the dev split of an4, and on a tenth of the training split of fsdd, held out;
the test splits are not looked at. Each row is the model that would be exported, in its integers,
with its last weights (`float` has none, and is the teacher of `teacher`).

Seconds a step are the median over the quarters of the run behind the first, in which XLA compiles;
an evaluation on the dev set is in each. Processor seconds are those of the whole command, on all
cores, compilation included. Runs are kept in the output folder: given again, the command goes on
with one that was stopped, whose processor time then is what its last command took, and does not
train again what is complete. What stands behind `--` is given to all trainings, such as --noxla.
"""

import dataclasses
import itertools
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from absl import app, flags

from int4_conformer.data.corpus import hold_out, normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.files import write_beside
from int4_conformer.training.workdir import Workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """How a corpus is trained on."""

    batch_seconds: int
    # Part of the training split to count words on; 0: the dev split.
    dev_fraction: float = 0.0


CORPORA = {
    "fsdd": Corpus(batch_seconds=48, dev_fraction=0.1),
    "an4": Corpus(batch_seconds=96),
}
# What `train` is given; {part} is a tenth of the steps, and {folder} holds the runs.
OPTIONS = {
    "plain": [],
    "float": ["--recipe=float"],
    "average": ["--average={part}"],
    "bfloat16": ["--compute_dtype=bfloat16"],
    "accumulate": ["--accumulate=2"],
    "adafactor": ["--optimizer=adafactor", "--learning_rate=0.03"],
    "lion": ["--optimizer=lion", "--learning_rate=4e-4", "--weight_decay=5e-3"],
    "linear": ["--schedule=linear"],
    "constant": ["--schedule=constant"],
    "transformer": ["--schedule=transformer"],
    "tri_stage": ["--schedule=tri_stage"],
    "stochastic_depth": ["--stochastic_depth=0.1"],
    "variational_noise": ["--variational_noise=0.03", "--variational_noise_after=0.25"],
    "quantize_after": ["--quantize_after=0.5"],
    "teacher": ["--teacher={folder}/float"],
}

FLAGS = flags.FLAGS
flags.DEFINE_enum("corpus", "fsdd", sorted(CORPORA), "Whose settings to use.")
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("output", None, "Folder for the runs, outside the work tree.", required=True)
flags.DEFINE_integer("steps", 1000, "Optimizer steps of each run.", lower_bound=4)
flags.DEFINE_multi_enum("only", [], list(OPTIONS), "Options to train with; all if none is given.")


def main(argv: list[str]) -> None:
    names = FLAGS.only or list(OPTIONS)
    if "teacher" in names:
        names = ["float", *(name for name in names if name != "float")]
    folder = Path(FLAGS.output).resolve() / f"{FLAGS.corpus}_{FLAGS.steps}"
    print("| option | flags | dev WER | errors / words | seconds a step | processor seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in names:
        given = [flag.format(part=FLAGS.steps // 10, folder=folder) for flag in OPTIONS[name]]
        row = _row(folder / name, [*given, *argv[1:]])
        shown = " ".join(flag.replace(f"{folder}/", "") for flag in given)
        print(
            f"| {name} | `{shown}` | {100 * row['errors'] / row['words']:.2f}% "
            f"| {row['errors']} / {row['words']} | {row['step_seconds']:.3f} "
            f"| {row['processor_seconds']:.0f} |",
            flush=True,
        )


def _row(workdir: Path, given: list[str]) -> dict[str, Any]:
    """What a run came to; it is trained if it was not yet."""
    file = workdir / "option.json"
    if file.exists():
        return json.loads(file.read_text())
    processor_seconds = _train(workdir, given)
    run = Workdir(workdir)
    points = [(line["step"], line["seconds"]) for line in run.metrics()]
    speeds = [
        (seconds - before) / (step - earlier)
        for (earlier, before), (step, seconds) in itertools.pairwise(points)
    ]
    model, tokenizer = run.load("last")
    errors = BatchedEvaluator(model, tokenizer.vocabulary, _dev())().errors
    row = {
        "errors": errors.errors,
        "words": errors.words,
        "step_seconds": statistics.median(speeds),
        "processor_seconds": processor_seconds,
    }
    write_beside(file, json.dumps(row).encode())
    return row


def _train(workdir: Path, given: list[str]) -> float:
    """Trains, or goes on; returns the processor seconds that it took."""
    corpus, steps = CORPORA[FLAGS.corpus], FLAGS.steps
    command = [
        *(sys.executable, "-m", "int4_conformer.cli.main", "train"),
        *(f"--manifest={FLAGS.manifest}", f"--workdir={workdir}", f"--steps={steps}"),
        *(f"--evaluate_every={-(-steps // 4)}", f"--warmup={steps // 5}"),
        *(f"--batch_seconds={corpus.batch_seconds}", f"--dev_fraction={corpus.dev_fraction}"),
        *given,
    ]
    workdir.parent.mkdir(parents=True, exist_ok=True)
    before = _children()
    with (workdir.parent / f"{workdir.name}.log").open("a") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if status:
        raise UserError(f"Training {workdir.name} ended with status {status}; see {log.name}.")
    return _children() - before


def _children() -> float:
    """Processor seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _dev() -> Any:
    """The utterances that no training of the corpus sees, as `train` splits them."""
    fraction = CORPORA[FLAGS.corpus].dev_fraction
    if not fraction:
        return normalized(read_corpus(FLAGS.manifest, "dev"))
    return hold_out(normalized(read_corpus(FLAGS.manifest, "train")), fraction)[1]


if __name__ == "__main__":
    app.run(main)
