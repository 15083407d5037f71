"""Words of a SavedModel beside those of the `.tflite` file and of the model, on real speech.

    python benchmarks/served_words.py WORKDIR --manifest=PATH/an4 --split=dev

exports what was trained both ways and recognises each utterance of the split: by the file, by the
model, by the SavedModel one at a time, and by it in batches of mixed lengths in two orders. Prints
in how many utterances each differs from the file.
"""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.text.metrics import word_errors
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", "dev", "Its part.")
flags.DEFINE_integer("batch", 16, "Utterances at once.")


def main(argv: list[str]) -> None:
    model, tokenizer = Workdir(argv[1]).load()
    utterances = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
    audio = [utterance.samples() for utterance in utterances]
    with tempfile.TemporaryDirectory() as folder:
        export_tflite(model, tokenizer, Path(folder) / "model.tflite")
        export_saved_model(model, tokenizer, Path(folder) / "saved")
        recognizer = Recognizer(Path(folder) / "model.tflite", gated=False)
        serve = tf.saved_model.load(f"{folder}/saved").signatures["serving_default"]
    expected = [recognizer.transcribe(samples) for samples in audio]
    recognize = tf.function(
        model.recognize, input_signature=[tf.TensorSpec([1, None])], autograph=False
    )
    texts = {
        "the model": [
            tokenizer.vocabulary.detokenize(_of_model(recognize, model, x)) for x in audio
        ],
        "the SavedModel, one at a time": _served(serve, audio, 1, range(len(audio))),
        f"in batches of {FLAGS.batch}": _served(serve, audio, FLAGS.batch, range(len(audio))),
        "in batches, shuffled": _served(
            serve, audio, FLAGS.batch, np.random.default_rng(0).permutation(len(audio))
        ),
    }
    errors = word_errors([utterance.text for utterance in utterances], expected)
    print(f"{len(audio)} utterances, WER of the file {100 * errors.wer:.2f}%\n")
    print("| words of | differ from the file's |")
    print("|---|---|")
    for name, found in texts.items():
        differ = sum(a != b for a, b in zip(found, expected, strict=True))
        print(f"| {name} | {differ} of {len(audio)} |", flush=True)


def _of_model(recognize: tf.types.experimental.PolymorphicFunction, model, samples: np.ndarray):
    block = model.config.block_samples
    found = recognize(np.pad(samples, (0, -len(samples) % block))[None])
    return found.ids[0, : int(found.count[0])].numpy()


def _served(serve, audio: list[np.ndarray], size: int, order) -> list[str]:
    """The texts in the order of the audio, recognised in another one."""
    texts = {}
    order = list(order)
    for start in range(0, len(order), size):
        places = order[start : start + size]
        lengths = [len(audio[place]) for place in places]
        pcm = np.zeros([len(places), max(lengths)], np.float32)
        for row, place in zip(pcm, places, strict=True):
            row[: len(audio[place])] = audio[place]
        outputs = serve(pcm=tf.constant(pcm), length=tf.constant(lengths))
        texts |= dict(zip(places, outputs["text"].numpy(), strict=True))
    return [texts[place].decode() for place in range(len(audio))]


if __name__ == "__main__":
    app.run(main)
