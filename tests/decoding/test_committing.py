import math

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.decoding.beam import BeamSearch
from int4_conformer.decoding.committing import CommittingSearch
from int4_conformer.search.beam_config import BeamConfig
from tests.decoding.networks import DIM, Network
from tests.support.examples import heavy

LENGTHS = np.int32([20, 13, 0, 8])


def searches(room, **config):
    network = Network(4, blank_bias=1.0)
    search = BeamSearch(
        predict=network.predict,
        logits=network.logits,
        max_symbols_per_frame=2,
        config=BeamConfig(**config),
    )
    start = search.start(len(LENGTHS), lambda rows: network.start(rows)[1])
    return search, CommittingSearch(search=search, room=room), start


def frames():
    return np.random.default_rng(3).standard_normal([len(LENGTHS), 20, DIM]).astype(np.float32)


def rows(tokens):
    """Of each utterance, its (token, frame, log-probability)."""
    return [
        [values[:n].tolist() for values in row]
        for *row, n in zip(
            *(np.asarray(x) for x in (tokens.ids, tokens.frames, tokens.log_probs, tokens.count)),
            strict=True,
        )
    ]


def streamed(committing, start, size, compiled=False):
    """What each segment and the end commit to, of each utterance."""
    x, waiting = frames(), committing.start(start)
    hear = tf.function(committing, jit_compile=True, autograph=False) if compiled else committing
    outputs = []
    for first in range(0, 20, size):
        segment = x[:, first : first + size]
        left = np.clip(LENGTHS - first, 0, segment.shape[1]).astype(np.int32)
        specs = [(y.shape, y.dtype) for y in tf.nest.flatten(waiting)]
        tokens, waiting = hear(tf.constant(segment), tf.constant(left), waiting)
        assert [(y.shape, y.dtype) for y in tf.nest.flatten(waiting)] == specs
        assert np.all(np.sum(waiting.beam.greedy, axis=1) == 1)
        outputs.append(rows(tokens))
    return [*outputs, rows(committing.finish(waiting))]


def joined(outputs):
    """Of each utterance, its tokens, frames and log-probabilities."""
    return [
        [[value for segment in segments for value in segment[kind]] for kind in range(3)]
        for segments in zip(*outputs, strict=True)
    ]


@pytest.mark.parametrize(
    ("threshold", "size"),
    [(0.3, 1), (math.inf, 4), (0.3, 20), *heavy((0.3, 4), (math.inf, 1), (math.inf, 20))],
)
def test_segments_say_what_the_whole_says(size, threshold):
    search, committing, start = searches(40, beam_size=4, threshold=threshold)
    whole = rows(search.best(*search(frames(), LENGTHS, start)).best)
    outputs = streamed(committing, start, size)
    for segments, expected in zip(joined(outputs), whole, strict=True):
        assert segments[0] == expected[0]
        # Of a shared token, its frame is that of the hypothesis which was the best then.
        assert segments[1] == sorted(segments[1])
        assert len(segments[1]) == len(segments[2]) == len(segments[0])
    # Something is out before the end.
    if size < 20 and threshold == 0.3:
        assert any(segment[0] for output in outputs[:-1] for segment in output)


def test_a_beam_of_one_says_everything_at_once():
    search, committing, start = searches(8, beam_size=1)
    outputs = streamed(committing, start, 4)
    assert not any(segment[0] for segment in outputs[-1])
    whole = rows(search.best(*search(frames(), LENGTHS, start)).best)
    for segments, expected in zip(joined(outputs), whole, strict=True):
        assert segments[:2] == expected[:2]
        np.testing.assert_allclose(segments[2], expected[2], atol=1e-4)


@pytest.mark.parametrize("room", [1, *heavy(3)])
def test_what_finds_no_room_is_committed(room):
    _, committing, start = searches(room, beam_size=8, threshold=math.inf)
    _, roomy, _ = searches(60, beam_size=8, threshold=math.inf)
    outputs, expected = (joined(streamed(c, start, 4)) for c in (committing, roomy))
    for segments, whole in zip(outputs, expected, strict=True):
        assert segments[1] == sorted(segments[1])
        assert bool(segments[0]) == bool(whole[0])


def test_under_xla_it_says_the_same():
    _, committing, start = searches(6, beam_size=3)
    one, other = (joined(streamed(committing, start, 5, compiled=c)) for c in (True, False))
    assert [x[:2] for x in one] == [x[:2] for x in other]
