import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.models import EncoderConfig, JointConfig, PredictorConfig, Transducer
from int4_conformer.models.latency import latencies, seen_samples
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.presets import preset
from int4_conformer.quant.spec.recipe import Recipe
from tests.support.examples import heavy

ENCODER = EncoderConfig(dim=8, blocks=2, heads=2, kernel_size=4, expansion=1)
CONFIG = TransducerConfig(
    name="test",
    vocab_size=5,
    encoder=ENCODER,
    predictor=PredictorConfig(embedding_dim=8),
    joint=JointConfig(dim=8),
    front_end=FrontEndConfig(mel_bins=8, stack=4),
    recipe=Recipe.preset("float"),
)


def encoder(**changes):
    return dataclasses.replace(ENCODER, **changes)


CASES = {
    "everything": (encoder(), None),
    "convolutions": (encoder(convolution_blocks=2), None),
    "causal": (encoder(chunk=1, left_context=2), None),
    "chunks": (encoder(chunk=3, left_context=2), None),
    "chunks_and_all_before": (encoder(chunk=3), None),
    "lower_convolutions": (encoder(blocks=3, convolution_blocks=2, chunk=4, left_context=1), None),
    "reduced": (encoder(chunk=4, left_context=2, reduce_after=1), None),
    "reduced_causal": (encoder(blocks=3, chunk=1, left_context=2, reduce_after=1), None),
    "subsampled": (encoder(chunk=2, left_context=1, subsampling="convolution"), None),
    "transformer": (encoder(kind="transformer", chunk=2, left_context=3), None),
    "cascade": (encoder(chunk=1, left_context=1), encoder(chunk=4, left_context=2)),
    "cascade_of_chunks": (encoder(chunk=2, left_context=1), encoder(chunk=3, left_context=1)),
    "cascade_to_the_end": (encoder(chunk=2, left_context=1), encoder()),
    "cascade_of_reduced": (
        encoder(chunk=2, left_context=2, reduce_after=1),
        encoder(chunk=2, left_context=1),
    ),
}
# Which are like others.
LONG = (
    *("convolutions", "chunks_and_all_before", "reduced"),
    *("cascade", "cascade_of_chunks", "cascade_to_the_end"),
)


def hops_seen_by_features(front_end, count):
    """bool [hops, features]: which feature frames change if a hop's worth of samples does."""
    rng = np.random.default_rng(0)
    pcm, other = rng.uniform(-0.5, 0.5, [2, 1, count, front_end.config.hop])
    changed = np.where(np.eye(count, dtype=bool)[:, :, None], other, pcm)
    before, after = (
        front_end(x.reshape([len(x), -1]).astype(np.float32)).numpy() for x in (pcm, changed)
    )
    return (np.abs(after - before) > 1e-3).any(axis=-1)


def features_seen_by_frames(model, passes, features):
    """bool [features, frames]: which outputs of a pass have a gradient at a feature frame."""
    frames = len(features) // (model.config.frame_samples // model.config.front_end.hop)
    with tf.GradientTape() as tape:
        rows = tf.Variable(np.repeat(features[None], frames, axis=0))
        encoded = model.encoder(rows)
        if passes == 2:
            encoded = model.second_pass(encoded)
        # Row i is for frame i; the sum of a layer norm's outputs would have no gradient.
        weights = np.eye(frames)[:, :, None] * np.arange(encoded.shape[-1])
        loss = tf.reduce_sum(encoded * weights)
    return (tape.gradient(loss, rows).numpy() != 0).any(axis=-1).T


@pytest.mark.parametrize("case", [case for case in CASES if case not in LONG] + heavy(*LONG))
def test_frames_depend_on_the_samples_that_they_see_and_no_others(case):
    first, second = CASES[case]
    config = dataclasses.replace(CONFIG, encoder=first, second_pass=second)
    keras.utils.set_random_seed(0)
    model = Transducer(config)
    hop = config.front_end.hop
    # Long enough for frames that see neither the start nor the end, in whole chunks.
    hops = -(-28 * config.front_end.block // config.block_samples) * config.block_samples // hop
    features = np.random.default_rng(0).standard_normal([hops, 8]).astype(np.float32)
    hops_seen = hops_seen_by_features(model.front_end, hops)
    starts = hop * np.arange(hops)[:, None]
    for passes in range(1, len(config.encoders) + 1):
        depends = hops_seen @ features_seen_by_frames(model, passes, features)
        seen = np.array([seen_samples(config, i, passes) for i in range(depends.shape[1])])
        expected = (starts + hop > seen[:, 0]) & (starts <= seen[:, 1])
        np.testing.assert_array_equal(depends, expected, f"pass {passes}")


def test_a_causal_pass_waits_for_the_end_of_the_frame():
    (first, second) = latencies(preset("cascaded_150m"))
    assert first.frame == second.frame == 40
    assert first.future == (0, 0)
    assert (first.mean, first.longest) == (20, 40)
    # 7 blocks, each with 14 frames under the kernel and 64 before; the window begins 15 ms before
    # the hop.
    assert first.past == (7 * (14 + 64) * 40 + 15,) * 2
    # To the end of a chunk of 24 frames.
    assert second.future == (0, 23 * 40)
    assert (second.mean, second.longest) == (480, 960)


def test_the_places_in_a_chunk_see_differently():
    (latency,) = latencies(
        dataclasses.replace(
            CONFIG, encoder=encoder(chunk=4, left_context=8, kind="transformer", blocks=1)
        )
    )
    assert latency.past == (8 * 40 + 15, (8 + 3) * 40 + 15)
    assert latency.future == (0, 3 * 40)


def test_without_chunks_everything_is_seen():
    (latency,) = latencies(preset("conformer_s"))
    assert latency.past == latency.future == (math.inf, math.inf)
    assert latency.mean == latency.longest == math.inf
