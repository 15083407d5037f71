"""Word error rates of the two passes of a cascade, whole utterances and streams.

    python benchmarks/cascade.py --manifest=PATH/an4

trains `cascaded_tiny` with w4a8 from scratch on the training split of AN4, exports the last weights
and counts word errors of the .tflite file on the dev split, which training never sees: of the first
pass and of both, fed segment by segment as from a microphone, and of the whole utterances. Settings
were chosen on a tenth of the training split. Prints a table for RESULTS.md. A run that is complete
is not trained again.
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from training import trained

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.progress import Progress
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "AN4.", required=True)
flags.DEFINE_string("output", "build/cascade", "Folder for the run and the exported file.")
flags.DEFINE_string("recipe", "w4a8", "Recipe to train with.")

_TRAINING = TrainingConfig(
    steps=2500,
    batch_seconds=96,
    buckets=3,
    learning_rate=2e-3,
    warmup=500,
    average=100,
    evaluate_every=500,
)


def main(_: list[str]) -> None:
    train = normalized(read_corpus(FLAGS.manifest, "train"))
    test = normalized(read_corpus(FLAGS.manifest, "dev"))
    tokenizer = Graphemes.from_texts([utterance.text for utterance in train])
    output = Path(FLAGS.output)
    workdir = Workdir(output / FLAGS.recipe)
    model = trained(
        "cascaded_tiny", FLAGS.recipe, _TRAINING, tokenizer=tokenizer, train=train, workdir=workdir
    )
    file = output / f"{FLAGS.recipe}.tflite"
    export_tflite(model, tokenizer, file)
    recognizer = Recognizer(file)

    def streamed(samples: np.ndarray, second_pass: bool) -> str:
        stream = recognizer.stream(second_pass=second_pass)
        stream.feed(samples)
        return stream.finish().text

    heard = {
        "first pass, streamed": lambda samples: streamed(samples, second_pass=False),
        "both passes, streamed": lambda samples: streamed(samples, second_pass=True),
        "both passes, whole utterances": recognizer.transcribe,
    }
    print("| words of | WER | errors / words | real-time factor |")
    print("|---|---|---|---|")
    transcripts = {}
    for name, transcribe in heard.items():
        with Progress(len(test), name) as progress:
            evaluation = evaluate(transcribe, test, progress.update)
        errors, transcripts[name] = evaluation.errors, evaluation.hypotheses
        print(
            f"| {name} | {100 * errors.wer:.2f}% | {errors.errors} / {errors.words} | "
            f"{evaluation.rtf:.4f} |"
        )
    _, streams, wholes = transcripts.values()
    same = sum(stream == whole for stream, whole in zip(streams, wholes, strict=True))
    minutes = workdir.metrics()[-1]["seconds"] / 60
    print(f"\nStreams and whole utterances have the same words in {same} of {len(test)}.")
    print(f"{file.stat().st_size:,} bytes; {minutes:.1f} minutes of training.")


if __name__ == "__main__":
    app.run(main)
