"""Word error rates of the exported files: the same training in float32 and in 4 bits.

    python benchmarks/wer.py --corpus=fsdd --manifest=PATH/fsdd --output=build/wer

trains `tiny` with each recipe from scratch on the training split, exports the last weights and
counts word errors of the .tflite files on the test split (an4 has no test split: its dev split,
which training never sees). Settings were chosen on a tenth of the training split held out, not on
what is measured. Prints a table for RESULTS.md, with a paired bootstrap over utterances for the
difference, and writes report.json. Runs that are complete are not trained again, so the recipes
can also be trained side by side (`--recipes`) and compared afterwards.
"""

import json
from pathlib import Path

import numpy as np
from absl import app, flags
from training import SETTINGS, trained

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.evaluation.one_by_one import evaluate, score
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.files import write_beside
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.progress import Progress
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_enum("corpus", None, sorted(SETTINGS), "Whose settings to use.", required=True)
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("output", "build/wer", "Folder for runs and reports.")
flags.DEFINE_list("recipes", ["float", "w4a8"], "Recipes to train with; the first is the anchor.")


def main(_: list[str]) -> None:
    split, config = SETTINGS[FLAGS.corpus]
    output = Path(FLAGS.output) / FLAGS.corpus
    train = normalized(read_corpus(FLAGS.manifest, "train"))
    test = normalized(read_corpus(FLAGS.manifest, split))
    tokenizer = Graphemes.from_texts([utterance.text for utterance in train])
    rows, hypotheses = [], {}
    for recipe in FLAGS.recipes:
        workdir = Workdir(output / recipe)
        model = trained("tiny", recipe, config, tokenizer=tokenizer, train=train, workdir=workdir)
        minutes = workdir.metrics()[-1]["seconds"] / 60
        file = output / f"{recipe}.tflite"
        export_tflite(model, tokenizer, file)
        with Progress(len(test), f"test {recipe}") as progress:
            evaluation = evaluate(Recognizer(file).transcribe, test, progress.update)
        hypotheses[recipe] = evaluation.hypotheses
        errors = evaluation.errors
        rows.append(
            {
                "recipe": recipe,
                "wer": errors.wer,
                "errors": errors.errors,
                "words": errors.words,
                "bytes": file.stat().st_size,
                "rtf": evaluation.rtf,
                "training_minutes": minutes,
            }
        )
    anchor = FLAGS.recipes[0]
    for row in rows[1:]:
        low, high = _difference(test, hypotheses[anchor], hypotheses[row["recipe"]])
        row |= {"difference_low": low, "difference_high": high}
    write_beside(output / "report.json", (json.dumps(rows, indent=1) + "\n").encode())
    _print(rows)


def _difference(test, anchor, other, draws: int = 10_000) -> tuple[float, float]:
    """95% interval of the difference in WER, other minus anchor, by paired bootstrap."""
    counts = np.array(
        [
            [score([utterance], [a]).errors, score([utterance], [b]).errors, words]
            for utterance, a, b in zip(test, anchor, other, strict=True)
            if (words := len(utterance.text.split()))
        ]
    )
    rng = np.random.default_rng(0)
    sums = np.array(
        [counts[rng.integers(0, len(counts), len(counts))].sum(axis=0) for _ in range(draws)]
    )
    low, high = np.quantile((sums[:, 1] - sums[:, 0]) / sums[:, 2], [0.025, 0.975])
    return float(low), float(high)


def _print(rows: list[dict]) -> None:
    print("| recipe | WER | errors / words | against the first, 95% | bytes | training |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        interval = (
            f"{100 * row['difference_low']:+.2f} .. {100 * row['difference_high']:+.2f}"
            if "difference_low" in row
            else ""
        )
        print(
            f"| {row['recipe']} | {100 * row['wer']:.2f}% | {row['errors']} / {row['words']} | "
            f"{interval} | {row['bytes']:,} | {row['training_minutes']:.1f} min |"
        )


if __name__ == "__main__":
    app.run(main)
