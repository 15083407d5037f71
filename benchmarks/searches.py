"""Searches of the light runtime: are they TensorFlow's, what do they cost, what do lists gain?

    python benchmarks/searches.py WORKDIR --manifest=PATH/an4 --split=dev

exports a training folder and recognises each utterance of the split by the file and by TensorFlow,
greedily, with a beam, with phrases to prefer and with a closed list: the distinct transcripts of
the split. Prints in how many utterances the two differ, the word errors, and the time by utterance.
With --phrases=FILE that list is used; --distractors makes it longer.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.decoding.beam import Bias
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.phrase_automaton import read_phrases
from int4_conformer.search.scorer import NOTHING
from int4_conformer.text.metrics import word_errors
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", "dev", "Its part.")
flags.DEFINE_string("phrases", None, "File of phrases; the split's transcripts if not given.")
flags.DEFINE_integer("distractors", 0, "Transcripts of the training split that join the phrases.")
flags.DEFINE_integer("beam", 4, "Width of the beam.")
flags.DEFINE_integer("utterances", 0, "The first so many alone; 0: all.")
flags.DEFINE_bool("tensorflow", True, "Whether to compare with TensorFlow, which takes minutes.")


def main(argv: list[str]) -> None:
    model, tokenizer = Workdir(argv[1]).load()
    utterances = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
    utterances = utterances[: FLAGS.utterances or None]
    audio = [utterance.samples() for utterance in utterances]
    texts = [utterance.text for utterance in utterances]
    phrases = sorted(set(texts)) if FLAGS.phrases is None else read_phrases(FLAGS.phrases)
    if FLAGS.distractors:
        others = {x.text for x in normalized(read_corpus(FLAGS.manifest, "train"))} - set(phrases)
        phrases = sorted([*phrases, *sorted(others)[: FLAGS.distractors]])
    with tempfile.TemporaryDirectory() as folder:
        export_tflite(model, tokenizer, Path(folder) / "model.tflite")
        recognizer = Recognizer(Path(folder) / "model.tflite", gated=False)
    beam = BeamConfig(beam_size=FLAGS.beam)
    listed = PhraseBias.of(phrases, tokenizer, 0.5)
    closed = _tables(ClosedList(phrases, tokenizer))
    searches = {
        "greedy": ({}, None),
        f"beam of {FLAGS.beam}": ({"beam": beam}, (beam, None)),
        f"{len(phrases)} phrases preferred": ({"beam": beam, "phrases": phrases}, (beam, listed)),
        "only these": ({"beam": beam, "phrases": phrases, "only": True}, (beam, closed)),
    }
    seconds_of_audio = sum(map(len, audio)) / 16000
    print(
        f"{len(audio)} utterances, {seconds_of_audio:.0f} s, {len(phrases)} phrases\n\n"
        "| search | WER | utterances wrong | differ from TensorFlow | ms an utterance "
        "| real-time factor |\n"
        "|---|---|---|---|---|---|"
    )
    for name, (asked, in_graph) in searches.items():
        # Automata are made once.
        recognizer.transcribe(audio[0], **asked)
        begun = time.perf_counter()
        found = [recognizer.transcribe(samples, **asked) for samples in audio]
        seconds = time.perf_counter() - begun
        differ = "-"
        if FLAGS.tensorflow:
            recognize = _in_graph(model, *(in_graph or (None, None)))
            others = [tokenizer.vocabulary.detokenize(recognize(samples)) for samples in audio]
            differ = f"{sum(a != b for a, b in zip(found, others, strict=True))} of {len(audio)}"
        errors = word_errors(texts, found)
        wrong = sum(a != b for a, b in zip(found, texts, strict=True))
        print(
            f"| {name} | {100 * errors.wer:.2f}% | {wrong} | {differ} "
            f"| {1000 * seconds / len(audio):.1f} | {seconds / seconds_of_audio:.4f} |",
            flush=True,
        )


def _tables(closed: ClosedList) -> PhraseBias:
    """A closed list as TensorFlow's search asks it."""
    states = range(len(closed))
    added = closed.scores(np.array(states))
    added[:, 0] = 0.0
    following = np.array(
        [[closed.advance(state, label) for label in range(added.shape[1])] for state in states]
    )
    # Such tables begin in state 1.
    return PhraseBias(
        following=np.pad(following + 1, [[1, 0], [0, 0]]).astype(np.int32),
        added=np.pad(added, [[1, 0], [0, 0]]).astype(np.float32),
        ended=np.array([0.0, *map(closed.final, states)], np.float32),
    )


def _in_graph(
    model, config: BeamConfig | None, bias: Bias | None
) -> Callable[[np.ndarray], Sequence[int]]:
    block = model.config.block_samples

    @tf.function(input_signature=[tf.TensorSpec([1, None])], autograph=False)
    def search(pcm):
        if config is None:
            found = model.recognize(pcm)
            return found.ids, found.count, tf.zeros([1])
        found = model.beam_search(pcm, config=config, bias=bias)
        return found.best.ids, found.best.count, found.scores[:, 0]

    def recognize(samples: np.ndarray) -> Sequence[int]:
        ids, count, score = search(np.pad(samples, (0, -len(samples) % block))[None])
        return ids[0, : int(count[0])].numpy() if float(score[0]) > NOTHING / 2 else []

    return recognize


if __name__ == "__main__":
    app.run(main)
