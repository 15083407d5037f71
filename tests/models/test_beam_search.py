import dataclasses
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.losses.rnnt import rnnt_loss
from int4_conformer.models.model_config import PredictorKind
from int4_conformer.search.beam_config import BeamConfig
from tests.support import tiny
from tests.support.examples import heavy

LENGTHS = np.int32([640 * 12, 640 * 5 + 1])
PCM = np.stack([tiny.speech(12, seed) for seed in (0, 1)])
WIDE = BeamConfig(beam_size=4, n_best=4)


@pytest.mark.parametrize("kind", heavy(*get_args(PredictorKind)))
def test_every_prediction_network_is_searched(kind):
    model = tiny.model("w4a8", predictor=kind)
    blank = np.eye(1, tiny.TOKENIZER.vocabulary.size)[0]
    model.joint.output_bias.assign_add(blank)

    @tf.function(jit_compile=True, autograph=False)
    def search(pcm, lengths):
        one, wide = (
            model.beam_search(pcm, lengths, config=config)
            for config in (BeamConfig(beam_size=1), WIDE)
        )
        return model.recognize(pcm, lengths), one, wide, model.encode(pcm, lengths)[-1]

    greedy, one, wide, encoded = search(tf.constant(PCM), tf.constant(LENGTHS))
    for some, others in zip(greedy[:3], one.best[:3], strict=True):
        np.testing.assert_array_equal(some, others)
    np.testing.assert_allclose(greedy.log_probs, one.best.log_probs, atol=1e-4)
    assert np.all(wide.scores[:, 0] >= one.scores[:, 0] - 1e-4)
    assert np.all(np.diff(wide.scores) <= 0)
    # No text is more probable than all of its alignments make it.
    lengths = model.encoded_length(tf.constant(LENGTHS))
    for n in range(WIDE.n_best):
        labels = wide.ids[:, n, : max(1, int(tf.reduce_max(wide.count[:, n])))]
        exact = -rnnt_loss(
            model.decoders[-1].logits(encoded, labels), labels, lengths, wide.count[:, n]
        )
        assert np.all(wide.model_scores[:, n] <= exact + 1e-3)
        np.testing.assert_array_equal(wide.scores[:, n], wide.model_scores[:, n])


def test_by_the_full_sum_hypotheses_are_ranked_by_all_alignments():
    model = tiny.model("float")
    model.joint.output_bias.assign_add(np.eye(1, tiny.TOKENIZER.vocabulary.size)[0])
    # Narrow: most alignments are dropped.
    config = BeamConfig(beam_size=3, n_best=3, threshold=2.0)

    def search(pcm, lengths):
        by_full_sum = dataclasses.replace(config, full_sum=True)
        seen, all_of = (
            model.beam_search(pcm, lengths, config=each) for each in (config, by_full_sum)
        )
        return model.recognize(pcm, lengths), seen, all_of, model.encode(pcm, lengths)[-1]

    greedy, seen, all_of, encoded = search(tf.constant(PCM), tf.constant(LENGTHS))
    lengths = model.encoded_length(tf.constant(LENGTHS))

    def log_probability(ids, count):
        labels = ids[:, : max(1, int(tf.reduce_max(count)))]
        return -rnnt_loss(
            model.decoders[-1].logits(encoded, labels), labels, lengths, count
        ).numpy()

    scores = all_of.scores.numpy()
    assert np.any(scores[:, 0] > seen.scores[:, 0] + 0.01)
    for n in range(config.n_best):
        exact = log_probability(all_of.ids[:, n], all_of.count[:, n])
        is_there = np.isfinite(scores[:, n])
        np.testing.assert_allclose(scores[is_there, n], exact[is_there], rtol=1e-4)
    assert np.all(scores[:, 0] >= scores[:, 1])
    greedy = log_probability(greedy.ids, greedy.count)
    assert np.all(scores[:, 0] >= greedy - 1e-3)


def test_biases_reach_the_search():
    model = tiny.shared_model()
    bias = PhraseBias.of(["abc", "ab dj"], tiny.TOKENIZER, 8.0)
    found = [model.beam_search(PCM, config=WIDE, bias=given).best for given in (bias, None)]
    texts = [
        [
            tiny.TOKENIZER.vocabulary.detokenize(row[:n].numpy())
            for row, n in zip(best.ids, best.count, strict=True)
        ]
        for best in found
    ]
    assert any({"abc", "ab"} & set(text.split()) for text in texts[0])
    assert texts[0] != texts[1]
