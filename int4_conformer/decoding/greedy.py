"""Greedy search, batched and in graph."""

from collections.abc import Callable

import tensorflow as tf


def greedy_search(
    frames: tf.Tensor,
    lengths: tf.Tensor | None,
    *,
    predict: Callable[[tf.Tensor], tf.Tensor],
    logits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    context: int,
    max_symbols: int,
    blank_id: int = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes the best symbol at each point of the lattice until every utterance is at its end.

    One loop serves training, SavedModel and TFLite: it is made of ops that LiteRT has builtin, and
    each of its rounds moves every utterance of the batch, by a symbol or by a frame.

    Args:
        frames: float [batch, time, dim], the joint network's view of the encoder.
        lengths: int32 [batch], or None if no frame is padding.
        predict: label history int32 [batch, context] -> float [batch, dim].
        logits: frame and prediction, each [batch, dim] -> [batch, vocab].
        context: labels that the prediction network sees.
        max_symbols: most symbols emitted in one frame.
        blank_id: symbol that moves to the next frame.

    Returns:
        tokens int32 [batch, time * max_symbols], 0 past the end, and their count int32 [batch].
    """
    # Sizes come from tensors that have them: LiteRT infers such shapes when the input is sized.
    per_frame = tf.zeros_like(frames[:, :, 0], dtype=tf.int32)
    per_row = per_frame[:, 0]
    tokens = tf.concat([per_frame] * max_symbols, axis=1)
    slots = tf.cumsum(tokens + 1, axis=1, exclusive=True)
    if lengths is None:
        lengths = per_row + tf.shape(frames)[1]
    last = tf.shape(frames)[1] - 1

    def unfinished(t, emitted, count, history, tokens):
        return tf.reduce_any(t < lengths)

    def advance(t, emitted, count, history, tokens):
        frame = tf.gather(frames, tf.minimum(t, last)[:, None], axis=1, batch_dims=1)[:, 0]
        symbol = tf.argmax(logits(frame, predict(history)), axis=-1, output_type=tf.int32)
        emits = (symbol != blank_id) & (emitted < max_symbols) & (t < lengths)
        here = emits[:, None] & (slots == count[:, None])
        tokens = tf.where(here, symbol[:, None], tokens)
        shifted = tf.concat([history[:, 1:], symbol[:, None]], axis=1)
        step = tf.cast(emits, tf.int32)
        return (
            t + 1 - step,
            (emitted + 1) * step,
            count + step,
            tf.where(emits[:, None], shifted, history),
            tokens,
        )

    history = tf.stack([per_row] * context, axis=1)
    _, _, count, _, tokens = tf.while_loop(
        unfinished, advance, [per_row, per_row, per_row, history, tokens]
    )
    return tokens, count
