import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.errors import UserError
from int4_conformer.evaluation import batched
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.text.metrics import WordErrors
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.xla import compiled_by_xla

VOCABULARY = Vocabulary(pieces=("<blank>", "▁tick"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ones(Utterance):
    """An utterance without a file."""

    def samples(self, sample_rate=16000, on_note=None):
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


def test_hypotheses_are_in_the_order_of_the_corpus(monkeypatch):
    monkeypatch.setattr(batched, "_ONE_SHAPE_SECONDS", 0.0)
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


def test_compile_leaves_nothing_to_compile(monkeypatch):
    model, told = Clock(), []
    monkeypatch.setattr(batched, "_ONE_SHAPE_SECONDS", 0.0)
    utterances = corpus([(1, "tick"), (2, "tick tick"), (3, "tick")])
    evaluator = BatchedEvaluator(model, VOCABULARY, utterances, buckets=2, seconds_per_batch=6)
    evaluator.compile(lambda index, count: told.append((index, count)))
    compiled = list(model.shapes)
    assert told == [(1, 2), (2, 2)]
    assert len(compiled) == 2
    assert all(rows * samples <= 6 * 16000 for rows, samples in compiled)
    evaluator()
    evaluator()
    assert model.shapes == compiled


def test_batches_are_no_larger_than_the_corpus():
    model = Clock()
    evaluator = BatchedEvaluator(model, VOCABULARY, corpus([(1, "tick"), (2, "tick tick")] * 7))
    assert evaluator().errors.wer == 0
    assert model.shapes == [[14, 32000]]


def test_rows_are_shared_out_evenly():
    model = Clock()
    utterances = corpus([(1, "tick")] * 31)
    evaluator = BatchedEvaluator(model, VOCABULARY, utterances, seconds_per_batch=30)
    assert evaluator().errors.wer == 0
    assert model.shapes == [[16, 16000]]


@pytest.mark.parametrize(("calls", "compiles"), [(1, False), (2000, True)])
def test_xla_compiles_where_it_pays(calls, compiles):
    model, may_compile = Clock(), []

    def recognize(pcm, pcm_length):
        may_compile.append(compiled_by_xla())
        return model.recognize(pcm, pcm_length, None)

    evaluator = BatchedEvaluator(
        model, VOCABULARY, corpus([(2, "tick tick")]), calls=calls, recognize=recognize
    )
    assert evaluator().errors.wer == 0
    assert may_compile == [compiles]


def test_a_wrong_duration_changes_no_error():
    class Lying(Ones):
        @property
        def lasts(self):
            return round(float(self.speaker))

        def samples(self, sample_rate=16000, on_note=None):
            return np.full(self.lasts * sample_rate, 0.5, np.float32)

    texts = ("tick", "tick tick", "tick tick tick", "tick")
    for durations in ((0.1, 2, 3, 1), (0.1, 0.1, 0.1, 0.1), (99, 2, 0.1, 50)):
        utterances = [
            Lying(audio="/absent.wav", text=text, duration=seconds, speaker=str(text.count("tick")))
            for text, seconds in zip(texts, durations, strict=True)
        ]
        evaluation = BatchedEvaluator(Clock(), VOCABULARY, utterances)()
        assert evaluation.errors == WordErrors(words=7)


def test_no_utterance():
    with pytest.raises(ValueError, match="There is no utterance"):
        BatchedEvaluator(Clock(), VOCABULARY, [])


def test_a_recording_longer_than_a_batch_is_refused():
    utterances = corpus([(2, "tick tick"), (241, "tick")])
    with pytest.raises(UserError, match=r"241 s, and a model that is not exported hears 240 s"):
        BatchedEvaluator(Clock(), VOCABULARY, utterances)
    assert BatchedEvaluator(Clock(), VOCABULARY, utterances, seconds_per_batch=241)
