"""Word errors where a pause comes before the words, and where utterances follow each other.

    python benchmarks/pauses.py MODEL.tflite --manifest=PATH/an4 --split=dev

The pauses are noise as faint as that of a quiet room. "One stream" is all utterances with pauses
between them, as a microphone hears them; where one ends is found by the model's endpointer.
"""

from collections.abc import Iterator

import numpy as np
from absl import app, flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli.app import exits
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import Progress
from int4_conformer.text.metrics import word_errors

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "A corpus.", required=True)
flags.DEFINE_string("split", None, "Its split; all if not given.")
flags.DEFINE_multi_float("seconds", [0.0, 0.3, 1.0], "Pauses before each utterance.")
flags.DEFINE_float("between", 1.5, "Seconds from one utterance to the next of the stream.")
flags.DEFINE_float("level", 1e-3, "Of the pauses: the deviation of their samples.")

# Samples that are heard at a time.
_STEP = SAMPLE_RATE // 5


def main(argv: list[str]) -> None:
    with exits():
        recognizer = Recognizer(model_file(argv[1]))
        utterances = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
        rng = np.random.default_rng(0)

        def pause(seconds: float) -> np.ndarray:
            samples = FLAGS.level * rng.standard_normal(int(seconds * SAMPLE_RATE))
            return samples.astype(np.float32)

        print("| heard | WER |\n|---|---|")
        for seconds in FLAGS.seconds:

            def transcribe(samples: np.ndarray, seconds: float = seconds) -> str:
                return recognizer.transcribe(np.concatenate([pause(seconds), samples]))

            with Progress(len(utterances), f"{seconds:g} s") as progress:
                errors = evaluate(transcribe, utterances, progress.update).errors
            print(f"| after {seconds:g} s | {100 * errors.wer:.1f}% |", flush=True)

        def stream() -> Iterator[np.ndarray]:
            for utterance in utterances:
                heard = np.concatenate([utterance.samples(), pause(FLAGS.between)])
                yield from np.array_split(heard, -(-heard.size // _STEP))

        words = [said.text for said in recognizer.listen(stream()) if said.endpoint and said.text]
        whole = " ".join(utterance.text for utterance in utterances)
        errors = word_errors([whole], [" ".join(words)])
        print(f"| one stream | {100 * errors.wer:.1f}% |")


if __name__ == "__main__":
    app.run(main)
