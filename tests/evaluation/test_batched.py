import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.sources.manifest import Utterance
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.text.metrics import WordErrors
from int4_conformer.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(pieces=("<blank>", "▁tick"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ones(Utterance):
    """An utterance without a file."""

    def samples(self, sample_rate=16000):
        return np.full(round(self.duration * sample_rate), 0.5, np.float32)


class Clock:
    """In place of a model: says "tick" for every full second of sound, and once more for every
    `gain` above one."""

    def __init__(self):
        self.gain = tf.Variable(1.0)
        self.shapes = []

    def recognize(self, pcm, pcm_length, passes):
        assert passes is None
        self.shapes.append(pcm.shape.as_list())
        heard = tf.reduce_sum(tf.cast(pcm > 0, tf.int32), axis=1)
        counts = tf.minimum(heard, pcm_length) // 16000 + tf.cast(self.gain - 1.0, tf.int32)
        ticks = tf.ones([pcm.shape[0], 20], tf.int32)
        return Tokens(ticks, counts, 0 * ticks, tf.zeros(ticks.shape))


def corpus(texts_by_seconds):
    return [
        Ones(audio="/absent.wav", text=text, duration=float(seconds))
        for seconds, text in texts_by_seconds
    ]


def test_hypotheses_are_in_the_order_of_the_corpus():
    model, done = Clock(), []
    utterances = corpus([(3, "tick Tick, tick"), (1, "tick"), (2, "tick tock"), (1, ""), (3, "é")])
    evaluator = BatchedEvaluator(model, VOCABULARY, utterances, buckets=2, seconds_per_batch=7)
    evaluation = evaluator(done.append)
    assert evaluation.hypotheses == (
        *("tick tick tick", "tick", "tick tick", "tick", "tick tick tick"),
    )
    # The empty reference has insertions alone; "é", which the vocabulary lacks, is a reference.
    assert evaluation.errors == WordErrors(substitutions=2, insertions=3, words=7)
    assert done == [1, 2, 3, 4, 5]
    assert evaluation.rtf > 0


def test_the_weights_are_those_of_the_call():
    model = Clock()
    evaluator = BatchedEvaluator(model, VOCABULARY, corpus([(1, "tick")]))
    assert evaluator().errors.wer == 0
    model.gain.assign(2.0)
    assert evaluator().hypotheses == ("tick tick",)


def test_compile_leaves_nothing_to_compile():
    model = Clock()
    utterances = corpus([(1, "tick"), (2, "tick tick"), (3, "tick")])
    evaluator = BatchedEvaluator(model, VOCABULARY, utterances, buckets=2, seconds_per_batch=6)
    evaluator.compile()
    compiled = list(model.shapes)
    assert len(compiled) == 2
    assert all(rows * samples <= 6 * 16000 for rows, samples in compiled)
    evaluator()
    assert model.shapes == compiled


def test_no_utterance():
    with pytest.raises(ValueError, match="There is no utterance"):
        BatchedEvaluator(Clock(), VOCABULARY, [])
