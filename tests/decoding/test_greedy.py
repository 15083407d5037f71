import numpy as np
import pytest
import tensorflow as tf

from tests.decoding.networks import CONTEXT, DIM, LENGTHS, TIME, Network
from tests.support.examples import heavy


def unpadded(found):
    """Of each utterance, the (id, frame) of its tokens."""
    ids, count, frames, log_probs = map(np.asarray, found)
    assert ids.dtype == count.dtype == frames.dtype == np.int32
    assert log_probs.dtype == np.float32
    for row, n in zip(zip(ids, frames, log_probs, strict=True), count, strict=True):
        assert not any(np.any(values[n:]) for values in row)
    return [
        list(zip(row[:n].tolist(), times[:n].tolist(), strict=True))
        for row, times, n in zip(ids, frames, count, strict=True)
    ]


@pytest.mark.parametrize("blank_id", [0, 3])
@pytest.mark.parametrize("max_symbols_per_frame", [1, 2, 4])
def test_it_finds_what_a_plain_loop_finds(max_symbols_per_frame, blank_id):
    counts = []
    for seed in range(8):
        network = Network(seed, blank_bias=seed / 4, blank_id=blank_id)
        found = network.search(network.frames, LENGTHS, max_symbols_per_frame)
        assert found.ids.shape == (len(LENGTHS), TIME * max_symbols_per_frame)
        expected = [
            network.reference(row[:length], max_symbols_per_frame)
            for row, length in zip(network.frames, LENGTHS, strict=True)
        ]
        assert unpadded(found) == [[(symbol, t) for symbol, t, _ in row] for row in expected]
        for row, values in zip(expected, found.log_probs.numpy(), strict=True):
            np.testing.assert_allclose(values[: len(row)], [x for *_, x in row], rtol=1e-4)
        counts.extend(found.count.numpy())
    # Some frames end in a blank and some at the limit.
    assert 0.1 < np.sum(counts) / (8 * LENGTHS.sum() * max_symbols_per_frame) < 0.9


def test_a_batch_finds_what_its_rows_find():
    network = Network(1)
    together = unpadded(network.search(network.frames, LENGTHS))
    for row, length, tokens in zip(network.frames, LENGTHS, together, strict=True):
        if length:
            assert unpadded(network.search(row[None, :length], None)) == [tokens]


def test_without_lengths_every_frame_counts():
    network = Network(2)
    everything = network.search(network.frames, np.full_like(LENGTHS, TIME))
    assert unpadded(network.search(network.frames, None)) == unpadded(everything)


@pytest.mark.parametrize("max_symbols_per_frame", [1, 3])
def test_each_frame_emits_at_most_max_symbols_per_frame(max_symbols_per_frame):
    network = Network(0, blank_bias=-100.0)
    found = network.search(network.frames, LENGTHS, max_symbols_per_frame)
    np.testing.assert_array_equal(found.count, LENGTHS * max_symbols_per_frame)


def test_blanks_emit_nothing():
    network = Network(0, blank_bias=100.0)
    assert unpadded(network.search(network.frames, LENGTHS)) == [[], [], [], []]


@pytest.mark.parametrize("blank_id", [0, 3])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_segments_of_a_stream_have_the_tokens_of_the_whole(size, blank_id):
    rng = np.random.default_rng(size)
    frames = rng.standard_normal([len(LENGTHS), 20, DIM]).astype(np.float32)
    lengths = np.int32([20, 13, 0, 8])
    network = Network(4, blank_bias=0.5, blank_id=blank_id)
    whole = unpadded(network.search(frames, lengths))
    hypothesis, found = network.start(len(LENGTHS)), [[] for _ in LENGTHS]
    for first in range(0, 20, size):
        segment = frames[:, first : first + size]
        left = np.clip(lengths - first, 0, segment.shape[1]).astype(np.int32)
        tokens, hypothesis = network.search_from(hypothesis, segment, left)
        for row, new in zip(found, unpadded(tokens), strict=True):
            row.extend((symbol, first + t) for symbol, t in new)
    assert found == whole
    # More than any state remembers, and not all that there could be.
    assert CONTEXT < max(len(row) for row in whole) < 60


@pytest.mark.parametrize(
    ("jit_compile", "shape"),
    [(True, [4, TIME]), (False, [None, None]), *heavy((False, [4, TIME]))],
    ids=["xla", "unknown", "graph"],
)
def test_in_a_graph_it_finds_the_same(jit_compile, shape):
    network = Network(3)
    signature = [tf.TensorSpec([*shape, DIM]), tf.TensorSpec(shape[:1], tf.int32)]
    search = tf.function(
        network.search, jit_compile=jit_compile, input_signature=signature, autograph=False
    )
    expected = unpadded(network.search(network.frames, LENGTHS))
    assert unpadded(search(network.frames, LENGTHS)) == expected
