import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import Span
from tests.support.frames import seen_by

TIME = 12
MASK = np.arange(TIME) < np.array([[TIME], [7]])
CHUNKS = (None, 1, 3, 4)
LEFT_CONTEXTS = (None, 0, 2, 5)
LIMITS = [(chunk, left) for chunk in CHUNKS for left in LEFT_CONTEXTS if chunk or left is None]
STREAMS = [(chunk, left) for chunk, left in LIMITS if left is not None]


def sees(frames, batch, time, seen):
    """bool [batch, time, seen] of a bias that is all or nothing."""
    bias = np.zeros([1, 1, 1, 1]) if frames.bias is None else frames.bias.numpy()
    assert set(np.unique(bias)) <= {0, np.float32(-1e9)}
    return np.broadcast_to(bias[:, 0] == 0, [batch, time, seen])


@pytest.mark.parametrize(("chunk", "left_context"), LIMITS)
def test_which_frame_of_a_whole_utterance_sees_which(chunk, left_context):
    span = Span(dim=4, chunk=chunk, left_context=left_context)
    expected = np.tile(seen_by(TIME, chunk, left_context), [2, 1, 1])
    x = tf.zeros([2, TIME, 3])
    frames, state = span.advance(x, None, None)
    assert state is None
    assert frames.mask is None
    np.testing.assert_array_equal(sees(frames, 2, TIME, TIME), expected)
    masked, _ = span.advance(x, tf.constant(MASK), None)
    np.testing.assert_array_equal(masked.mask, MASK)
    np.testing.assert_array_equal(sees(masked, 2, TIME, TIME), expected & MASK[:, None])


@pytest.mark.parametrize(("chunk", "left_context"), STREAMS)
@pytest.mark.parametrize("chunks", [1, 2])
def test_which_frame_of_a_segment_sees_which(chunk, left_context, chunks):
    span = Span(dim=4, chunk=chunk, left_context=left_context)
    expected = seen_by(TIME, chunk, left_context) & MASK[:, None]
    # As if there were frames before the utterance, which nothing sees.
    expected = np.pad(expected, [[0, 0], [0, 0], [left_context, 0]])
    state, size = span.initial_state(2), chunk * chunks
    for start in range(0, TIME - size + 1, size):
        mask = MASK[:, start : start + size]
        frames, state = span.advance(tf.zeros([2, size, 3]), tf.constant(mask), state)
        np.testing.assert_array_equal(frames.mask, mask)
        window = slice(start, start + left_context + size)
        np.testing.assert_array_equal(
            sees(frames, 2, size, left_context + size),
            expected[:, start : start + size, window],
        )
        assert state.keys() == {"mask"}
        np.testing.assert_array_equal(
            state["mask"], np.pad(MASK, [[0, 0], [left_context, 0]])[:, window][:, size:]
        )


def positions(time):
    """Of the frames of a whole utterance."""
    return Span(dim=4).advance(tf.zeros([2, time, 3]), None, None)[0].positions


def test_positions_are_sines_and_cosines_of_the_frame_numbers():
    sin, cos = positions(5)
    angles = np.arange(5)[:, None] * [1, 0.01]
    np.testing.assert_allclose(sin, np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(cos, np.cos(angles), atol=1e-6)


def test_positions_of_a_segment_are_those_of_all_that_it_sees():
    span = Span(dim=4, chunk=2, left_context=3)
    frames, _ = span.advance(tf.zeros([1, 4, 3]), None, span.initial_state(1))
    for one, other in zip(frames.positions, positions(7), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("chunk", "left_context"), [(None, None), (1, 2), (4, 5), (41, 0)])
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_an_unknown_number_of_frames(chunk, left_context, compiled):
    span = Span(dim=4, chunk=chunk, left_context=left_context)

    def parts(x):
        frames, _ = span.advance(x, None, None)
        return [*frames.positions, *([] if chunk is None else [frames.bias])]

    signature = [tf.TensorSpec([1, None, 3])]
    x = tf.zeros([1, 250, 3])
    graph = tf.function(parts, input_signature=signature, jit_compile=compiled)
    for one, other in zip(graph(x), parts(x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chunk": 0}, "`chunk` must be at least 1. Received: chunk=0"),
        ({"chunk": 1, "left_context": -1}, "must not be negative. Received: left_context=-1"),
        ({"left_context": 3}, "give a `chunk`, too. Received: left_context=3, chunk=None"),
    ],
)
def test_spans_that_mean_nothing(arguments, message):
    with pytest.raises(UserError, match=message):
        Span(dim=4, **arguments)


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_stream_without_an_end_to_what_it_sees(chunk):
    with pytest.raises(UserError, match=f"Received: chunk={chunk}, left_context=None"):
        Span(dim=4, chunk=chunk).initial_state(1)


def test_a_segment_that_ends_within_a_chunk():
    span = Span(dim=4, chunk=4, left_context=0)
    with pytest.raises(UserError, match=r"whole chunks of 4 frames; .* Received: 6 frames"):
        span.advance(tf.zeros([1, 6, 3]), None, span.initial_state(1))
