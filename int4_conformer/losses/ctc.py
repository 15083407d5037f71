"""Connectionist temporal classification, Graves et al. 2006."""

import functools
from collections.abc import Callable

import tensorflow as tf


def ctc_loss(
    logits: tf.Tensor,
    labels: tf.Tensor,
    logit_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    blank_id: int = 0,
) -> tf.Tensor:
    """`tf.nn.ctc_loss` that is finite for any lengths.

    Args:
        logits: float [batch, time, vocab], unnormalised.
        labels: int32 [batch, labels], padded with any ids.
        logit_lengths: int32 [batch], real frames; 0 marks a row of padding.
        label_lengths: int32 [batch], real labels.
        blank_id: id of the blank.

    Returns:
        float32 [batch]; 0, with zero gradient, for rows of padding, and where the frames are too
        few for the labels: each takes one, and one more stands between two equal ones.
    """
    labels = tf.cast(labels, tf.int32)
    place = tf.range(labels.shape[1])
    # Padding may be anything, also no symbol at all.
    labels = tf.where(place < label_lengths[:, None], labels, 0)
    repeated = (labels[:, 1:] == labels[:, :-1]) & (place[1:] < label_lengths[:, None])
    needed = label_lengths + tf.reduce_sum(tf.cast(repeated, tf.int32), axis=1)
    possible = (logit_lengths > 0) & (needed <= logit_lengths)
    compute = functools.partial(_dense_loss, blank_id=blank_id)
    if not tf.executing_eagerly():
        compute = _traced_once(blank_id)
    loss = compute(
        labels,
        tf.cast(logits, tf.float32),
        tf.where(possible, label_lengths, 0),
        tf.maximum(logit_lengths, 1),
    )
    return tf.where(possible, loss, 0.0)


def _dense_loss(
    labels: tf.Tensor,
    logits: tf.Tensor,
    label_lengths: tf.Tensor,
    logit_lengths: tf.Tensor,
    *,
    blank_id: int,
) -> tf.Tensor:
    return tf.nn.ctc_loss(
        labels,
        logits,
        label_lengths,
        logit_lengths,
        logits_time_major=False,
        blank_index=blank_id,
    )


@functools.cache
def _traced_once(blank_id: int) -> Callable[..., tf.Tensor]:
    """`_dense_loss` for all shapes.

    The names of its loops do not depend on shapes. Traced for two of them, the loops are taken for
    one another, and TensorFlow complains on stderr.
    """
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None, None], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int32),
    ]
    return tf.function(functools.partial(_dense_loss, blank_id=blank_id), input_signature=signature)
