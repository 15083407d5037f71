"""Word errors of people who speak to a recogniser that has heard synthesisers alone.

    python benchmarks/phrases.py --manifest=PATH/fsdd --split=test

takes the texts of a corpus of real speech as the list of phrases, and nothing else of it: trains
with `int4-conformer train --phrases`, exports, and has the .tflite file transcribe the recordings,
freely and with the list as all that may be said. Prints a row for RESULTS.md. A run that is
complete is not trained again. What stands behind "--" goes to train: -- --voices=hibari.
"""

import subprocess
import sys
from pathlib import Path

from absl import app, flags

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.progress import Progress, duration
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "A corpus of few texts, said by people.", required=True)
flags.DEFINE_string("split", "test", "Its split to test on.")
flags.DEFINE_string("preset", "cascaded_tiny", "What to train.")
flags.DEFINE_integer("steps", 1500, "Optimizer steps.", lower_bound=1)
flags.DEFINE_string("output", "build/phrases", "Folder for the run and the exported file.")


def main(arguments: list[str]) -> None:
    test = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
    texts = sorted({utterance.text for utterance in test})
    output = Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    phrases, run, file = output / "phrases.txt", output / "run", output / "model.tflite"
    phrases.write_text("\n".join(texts) + "\n")
    _run(
        *("train", f"--phrases={phrases}", f"--workdir={run}", f"--preset={FLAGS.preset}"),
        *(f"--steps={FLAGS.steps}", "--batch_seconds=48", "--learning_rate=3e-3", "--average=50"),
        *(f"--warmup={min(200, FLAGS.steps // 4)}", f"--evaluate_every={FLAGS.steps}"),
        *arguments[1:],
    )
    _run("export", str(run), f"--output={file}")
    recognizer = Recognizer(file)
    last = Workdir(run).metrics()[-1]
    cells = [f"{len(texts)}", f"{100 * last['dev_wer']:.1f}%"]
    for search in ({}, {"phrases": texts, "only": True}):

        def transcribe(samples, search=search):
            return recognizer.transcribe(samples, **search)

        with Progress(len(test), "closed list" if search else "free") as progress:
            errors = evaluate(transcribe, test, progress.update).errors
        cells.append(f"{100 * errors.wer:.1f}% ({errors.errors} / {errors.words})")
    print("| phrases | dev WER, synthetic | WER, people | likewise, closed list | training |")
    print("|---|---|---|---|---|")
    print(f"| {' | '.join(cells)} | {duration(last['seconds'])} |")


def _run(*arguments: str) -> None:
    program = [sys.executable, "-m", "int4_conformer.cli.main"]
    subprocess.run([*program, *arguments], check=True)


if __name__ == "__main__":
    app.run(main)
