"""What a list of phrases does to utterances that hold one of them, and to those that do not.

    python benchmarks/biasing.py --workdir=RUN --manifest=PATH/an4 --split=dev

takes a folder that `int4-conformer train` wrote and a split that its training did not hear. The
phrases planted in the list are what training never heard, or seldom: words that occur at most
`--rare` times in the training transcripts, and letters spelled one after another, at least four,
that never occur there in this order. Beside them the list has distractors: rare words and
spelled letters of the training transcripts.

The score of a bias is chosen for each half of the speakers on the other half, by the fewest word
errors in all; no utterance is measured with a score that it helped to choose. Prints a table for
RESULTS.md.
"""

import collections
import random
import re
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags

from int4_conformer.data.corpus import Utterances, normalized, read_corpus
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.evaluation.one_by_one import score
from int4_conformer.models.transducer import Transducer
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "The run.", required=True)
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", None, "Split to measure on.", required=True)
flags.DEFINE_string("training_split", "train", "Split that the run heard.")
flags.DEFINE_integer("rare", 2, "Most occurrences in training of a rare word.")
flags.DEFINE_integer("distractors", 200, "Other phrases in the list.")
flags.DEFINE_integer("beam", 8, "Hypotheses.")
flags.DEFINE_multi_float("score", [0.5, 1.0, 1.5, 2.0], "Scores to choose from.")

# Letters spelled one after another.
_SPELLED = re.compile(r"(?<!\S)\S(?: \S){3,}(?!\S)")


def main(_: list[str]) -> None:
    train = normalized(read_corpus(FLAGS.manifest, FLAGS.training_split))
    test = list(normalized(read_corpus(FLAGS.manifest, FLAGS.split)))
    model, tokenizer = Workdir(FLAGS.workdir).load()
    heard = [utterance.text for utterance in train]
    planted = [_rare_phrases(utterance.text, heard) for utterance in test]
    distractors = _distractors(heard)

    speakers = sorted({utterance.speaker for utterance in test})
    half = {speaker: index % 2 for index, speaker in enumerate(speakers)}
    hypotheses = {name: [""] * len(test) for name in ("greedy", "beam", "biased")}
    found: dict[float, list[str]] = {}
    places = [[i for i, u in enumerate(test) if half[u.speaker] == side] for side in (0, 1)]
    for kind, biases in (("greedy", None), ("beam", [])):
        hypotheses[kind] = _recognized(model, tokenizer, test, biases)
    for value in FLAGS.score:
        found[value] = [""] * len(test)
        for side in (0, 1):
            # A list holds what its own half may say, and no more of the other one.
            phrases = sorted({p for i in places[side] for p in planted[i]}) + distractors
            bias = PhraseBias.of(phrases, tokenizer, value)
            part = _recognized(model, tokenizer, [test[i] for i in places[side]], [bias])
            for place, text in zip(places[side], part, strict=True):
                found[value][place] = text
    chosen = []
    for side in (0, 1):
        other = places[1 - side]
        chosen.append(min(FLAGS.score, key=lambda x, on=other: _errors(test, found[x], on).errors))
        for place in places[side]:
            hypotheses["biased"][place] = found[chosen[side]][place]
    _print(test, planted, hypotheses, chosen, len(distractors))
    for value, texts in found.items():
        errors = [
            _errors(test, texts, [i for i in range(len(test)) if bool(planted[i]) == rare]).errors
            for rare in (True, False)
        ]
        print(f"score {value}: {errors[0]} word errors with rare phrases, {errors[1]} without")


def _rare_phrases(text: str, heard: Sequence[str]) -> set[str]:
    """What of a text training did not hear, or seldom."""
    occurrences = collections.Counter(word for other in heard for word in other.split())
    words = {word for word in text.split() if len(word) > 1 and occurrences[word] <= FLAGS.rare}
    spelled = {run for run in _SPELLED.findall(text) if not any(run in other for other in heard)}
    return words | spelled


def _distractors(heard: Sequence[str]) -> list[str]:
    """Phrases of the same kinds that training heard: words that are rare there, too."""
    spelled = {run for text in heard for run in _SPELLED.findall(text)}
    occurrences = collections.Counter(word for text in heard for word in text.split())
    words = {word for word, count in occurrences.items() if count <= FLAGS.rare}
    phrases = sorted(spelled | {word for word in words if len(word) > 1})
    random.Random(0).shuffle(phrases)
    return phrases[: FLAGS.distractors]


def _recognized(
    model: Transducer,
    tokenizer: Tokenizer,
    utterances: Utterances,
    biases: Sequence[PhraseBias] | None,
) -> list[str]:
    """The texts of utterances: greedy search without a list of biases."""
    recognize = None
    if biases is not None:
        config = BeamConfig(beam_size=FLAGS.beam)
        bias = biases[0] if biases else None

        def recognize(pcm: tf.Tensor, length: tf.Tensor) -> Tokens:
            return model.beam_search(pcm, length, config=config, bias=bias).best

    evaluator = BatchedEvaluator(
        model, tokenizer.vocabulary, utterances, buckets=1, recognize=recognize
    )
    return list(evaluator().hypotheses)


def _errors(utterances: Utterances, texts: Sequence[str], places: Sequence[int]):
    return score([utterances[i] for i in places], [texts[i] for i in places])


def _print(
    test: Utterances,
    planted: Sequence[set[str]],
    hypotheses: dict[str, list[str]],
    chosen: Sequence[float],
    distractors: int,
) -> None:
    with_them = [i for i, phrases in enumerate(planted) if phrases]
    without = [i for i, phrases in enumerate(planted) if not phrases]
    phrases = sum(map(len, planted))
    print(
        f"{phrases} rare phrases in {len(with_them)} utterances, {len(without)} utterances "
        f"without; {distractors} distractors; scores {chosen[0]} and {chosen[1]}\n"
    )
    print("| search | rare phrases found | WER with rare phrases | WER without |")
    print("|---|---|---|---|")
    for name, texts in hypotheses.items():
        recovered = sum(
            f" {phrase} " in f" {texts[i]} " for i in with_them for phrase in planted[i]
        )
        rates = [_errors(test, texts, places) for places in (with_them, without)]
        cells = [f"{100 * x.wer:.2f}% ({x.errors} / {x.words})" for x in rates]
        print(f"| {name} | {recovered} / {phrases} | {cells[0]} | {cells[1]} |")
    print()


if __name__ == "__main__":
    app.run(main)
