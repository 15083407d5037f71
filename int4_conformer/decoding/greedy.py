"""Greedy search, batched and in graph."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from int4_conformer.layers.steppable import State, where_rows

# Frames that are looked at together.
BLOCK = 8

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

    One loop serves training, SavedModel and TFLite: it is made of ops that LiteRT has builtin. Each
    of its rounds looks at `BLOCK` frames of every utterance at once, since the prediction stays
    the same until a symbol is emitted, and takes the first of them that emits one (label looping,
    arXiv 2406.06220). So there are about as many rounds as symbols, and not as frames.

    The frames may be a segment of a stream: segments, each started from what the one before
    returned, have the tokens of the whole.

    Args:
        frames: float [batch, time, dim], the joint network's view of the encoder.
        lengths: int32 [batch], or None if no frame is padding.
        start: the prediction network's start, and its initial state; all zeros, so that whoever
            runs an exported stream needs to compute nothing before it.
        predict: last label int32 [batch] and the state before it -> float [batch, dim] and the
            state after it.
        logits: frames and prediction, each [..., dim] -> [..., vocab]; they broadcast.
        max_symbols_per_frame: most symbols emitted in one frame.
        blank_id: symbol that moves to the next frame.

    Returns:
        the tokens, their frames counted from the first of these, and from where the next segment
        goes on.
    """
    # Sizes come from tensors that have them: LiteRT infers such shapes when the input is sized.
    per_frame = tf.zeros_like(frames[:, :, 0], dtype=tf.int32)
    # Counts are columns [batch, 1]: a round is a hundred small ops, and half of its time went into
    # giving them a second axis.
    zero = per_frame[:, :1]
    ids = tf.concat([per_frame] * max_symbols_per_frame, axis=1)
    slots = tf.cumsum(ids + 1, axis=1, exclusive=True)
    last = tf.shape(frames)[1] - 1
    ends = zero + last + 1 if lengths is None else lengths[:, None]
    block = min(BLOCK, frames.shape[1] or BLOCK)
    ahead = tf.range(block)
    nothing = Tokens(ids, zero, ids, tf.cast(ids, tf.float32))

    def unfinished(t, emitted, hypothesis, found):
        return tf.reduce_any(t < ends)

    def advance(t, emitted, hypothesis, found):
        places = t + ahead
        window = tf.gather(frames, tf.minimum(places, last), axis=1, batch_dims=1)
        prediction, state = predict(*hypothesis)
        scores = tf.cast(logits(window, tf.expand_dims(prediction, 1)), tf.float32)
        symbols = tf.argmax(scores, axis=-1, output_type=tf.int32)
        emits_at = (symbols != blank_id) & (places < ends)
        skipped = tf.reduce_min(tf.where(emits_at, ahead, block), axis=1, keepdims=True)
        emits = skipped < block
        emits_from = tf.minimum(skipped, block - 1)
        symbol = tf.gather(symbols, emits_from, axis=1, batch_dims=1)
        chosen = tf.gather(scores, emits_from, axis=1, batch_dims=1)
        # XNNPACK has a kernel for a softmax, and none for its logarithm. The largest probability is
        # never near 0.
        log_prob = tf.math.log(tf.reduce_max(tf.nn.softmax(chosen), axis=-1))
        here = emits & (slots == found.count)
        step = tf.cast(emits, tf.int32)
        t += skipped
        found = Tokens(
            tf.where(here, symbol, found.ids),
            found.count + step,
            tf.where(here, t, found.frames),
            tf.where(here, log_prob, found.log_probs),
        )
        emitted = tf.where(skipped == 0, emitted, 0) + step
        # A frame that has emitted as much as there may be is done with.
        is_full = emitted == max_symbols_per_frame
        hypothesis = where_rows(emits, (tf.squeeze(symbol, 1), state), hypothesis)
        return t + tf.cast(is_full, tf.int32), tf.where(is_full, 0, emitted), hypothesis, found

    _, _, hypothesis, found = tf.while_loop(unfinished, advance, (zero, zero, start, nothing))
    return found._replace(count=tf.squeeze(found.count, 1)), hypothesis
