"""What evaluating a training folder takes beside its .tflite file, on one corpus.

    python benchmarks/evaluation.py --workdir=run --model=model.tflite --manifest=corpus

Times are wall / processor time in seconds, all threads together. The rows:

    start       TensorFlow, the package, and loading the folder's weights.
    compile     The search, for all shapes of batches.
    folder      Recognising the corpus in batches, and scoring; the first call and the one after.
    file        The same one by one with the .tflite file, on one thread.
"""

import time
from collections.abc import Callable
from typing import Any

from absl import app, flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.recordings import decoded
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.lite.recognizer import Recognizer

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of a run.", required=True)
flags.DEFINE_string("model", None, "What was exported from it.", required=True)
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", None, "Its split; all if not given.")
flags.DEFINE_integer("utterances", None, "So many of the first.")


def main(_: list[str]) -> None:
    corpus = decoded(read_corpus(FLAGS.manifest, FLAGS.split)[: FLAGS.utterances])
    print(f"{len(corpus)} utterances, {corpus.seconds:.0f} s")
    model, tokenizer = _timed("start", _start)

    from int4_conformer.evaluation.batched import BatchedEvaluator

    evaluator = BatchedEvaluator(model, tokenizer.vocabulary, corpus)
    _timed("compile", evaluator.compile)
    _timed("folder", evaluator)
    of_folder = _timed("folder", evaluator)
    recognizer = Recognizer(FLAGS.model)

    def transcribe(samples: Any) -> str:
        return recognizer.transcribe(samples, SAMPLE_RATE)

    of_file = _timed("file", lambda: evaluate(transcribe, corpus))
    print(f"WER {100 * of_folder.errors.wer:.2f}% and {100 * of_file.errors.wer:.2f}%")


def _start() -> tuple[Any, Any]:
    from int4_conformer.training.workdir import Workdir

    return Workdir(FLAGS.workdir).load()


def _timed(name: str, work: Callable[[], Any]) -> Any:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name:8} {wall:8.2f} / {processor:.2f}", flush=True)
    return found


if __name__ == "__main__":
    app.run(main)
