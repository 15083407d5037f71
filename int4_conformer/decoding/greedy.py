"""Greedy search, batched and in graph."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from int4_conformer.layers.steppable import State, where_rows

# What the prediction network is fed next: the last label int32 [batch], and the state before it.
Hypothesis = tuple[tf.Tensor, State]


class Tokens(NamedTuple):
    """What a search found in each utterance; all is 0 past the end.

    The capacity is what there may be at most, time * max_symbols_per_frame.
    """

    # int32 [batch, capacity].
    ids: tf.Tensor
    # int32 [batch], how many there are.
    count: tf.Tensor
    # int32 [batch, capacity], the frame in which each was emitted.
    frames: tf.Tensor
    # float32 [batch, capacity], the logarithm of each one's probability where it was emitted, among
    # all symbols and the blank.
    log_probs: tf.Tensor


def greedy_search(
    frames: tf.Tensor,
    lengths: tf.Tensor | None,
    *,
    start: Hypothesis,
    predict: Callable[[tf.Tensor, State], tuple[tf.Tensor, State]],
    logits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    max_symbols_per_frame: int,
    blank_id: int = 0,
) -> tuple[Tokens, Hypothesis]:
    """Takes the best symbol at each point of the lattice until every utterance is at its end.

    One loop serves training, SavedModel and TFLite: it is made of ops that LiteRT has builtin, and
    each of its rounds moves every utterance of the batch, by a symbol or by a frame.

    The frames may be a segment of a stream: segments, each started from what the one before
    returned, have the tokens of the whole.

    Args:
        frames: float [batch, time, dim], the joint network's view of the encoder.
        lengths: int32 [batch], or None if no frame is padding.
        start: the prediction network's start, and its initial state; all zeros, so that whoever
            runs an exported stream needs to compute nothing before it.
        predict: last label int32 [batch] and the state before it -> float [batch, dim] and the
            state after it.
        logits: frame and prediction, each [batch, dim] -> [batch, vocab].
        max_symbols_per_frame: most symbols emitted in one frame.
        blank_id: symbol that moves to the next frame.

    Returns:
        the tokens, their frames counted from the first of these, and from where the next segment
        goes on.
    """
    # Sizes come from tensors that have them: LiteRT infers such shapes when the input is sized.
    per_frame = tf.zeros_like(frames[:, :, 0], dtype=tf.int32)
    per_row = per_frame[:, 0]
    ids = tf.concat([per_frame] * max_symbols_per_frame, axis=1)
    slots = tf.cumsum(ids + 1, axis=1, exclusive=True)
    if lengths is None:
        lengths = per_row + tf.shape(frames)[1]
    last = tf.shape(frames)[1] - 1
    nothing = Tokens(ids, per_row, ids, tf.cast(ids, tf.float32))

    def unfinished(t, emitted, hypothesis, found):
        return tf.reduce_any(t < lengths)

    def advance(t, emitted, hypothesis, found):
        frame = tf.gather(frames, tf.minimum(t, last)[:, None], axis=1, batch_dims=1)[:, 0]
        prediction, state = predict(*hypothesis)
        scores = tf.cast(logits(frame, prediction), tf.float32)
        symbol = tf.argmax(scores, axis=-1, output_type=tf.int32)
        log_prob = tf.reduce_max(tf.nn.log_softmax(scores), axis=-1)
        emits = (symbol != blank_id) & (emitted < max_symbols_per_frame) & (t < lengths)
        here = emits[:, None] & (slots == found.count[:, None])
        step = tf.cast(emits, tf.int32)
        return (
            t + 1 - step,
            (emitted + 1) * step,
            where_rows(emits, (symbol, state), hypothesis),
            Tokens(
                tf.where(here, symbol[:, None], found.ids),
                found.count + step,
                tf.where(here, t[:, None], found.frames),
                tf.where(here, log_prob[:, None], found.log_probs),
            ),
        )

    _, _, hypothesis, found = tf.while_loop(unfinished, advance, (per_row, per_row, start, nothing))
    return found, hypothesis
