"""Transducer loss of a lattice of logits, arXiv 1211.3711.

The lattice of a real utterance is large: [batch, time, labels + 1, vocab] holds gigabytes. Training
takes `joint_rnnt_loss`, which never holds it; this is the same loss of logits that exist anyway.
"""

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.losses.emission import Emission
from int4_conformer.losses.lattice import cost, occupancies


def rnnt_loss(
    logits: tf.Tensor,
    labels: tf.Tensor,
    logit_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    blank_id: int = 0,
    *,
    fast_emit: float = 0.0,
    label_smoothing: float = 0.0,
) -> tf.Tensor:
    """Negative log-probability of the labels, summed over all alignments.

    Never NaN while no logit is NaN or infinity; minus infinity rules a symbol out. Labels that no
    alignment can emit, as those of lengths that do not fit the tensors, cost 0 and have no
    gradient. An empty transcript costs what its blanks do.

    Args:
        logits: float [batch, time, labels + 1, vocab], unnormalised.
        labels: int32 [batch, labels], padded with any ids.
        logit_lengths: int32 [batch], real frames; 0 marks a row of padding.
        label_lengths: int32 [batch], real labels.
        blank_id: id of the blank.
        fast_emit: see `Emission`; changes the gradient alone.
        label_smoothing: see `Emission`; changes loss and gradient.

    Returns:
        float32 [batch]; 0, with zero gradient, for rows of padding.

    Raises:
        UserError: an option is outside its range, or the shapes do not belong together.
    """
    emission = Emission(blank_id=blank_id, fast_emit=fast_emit, label_smoothing=label_smoothing)
    logits = tf.convert_to_tensor(logits)
    symbols = next_labels(labels, label_lengths, logits.shape[2])
    symbols = tf.broadcast_to(symbols[:, None], logits.shape[:-1])

    @tf.custom_gradient
    def loss(logits: tf.Tensor):
        blank, label, normaliser = emission.scores(logits, symbols)
        total, possible = cost(blank, label, logit_lengths, label_lengths)

        def gradient(dloss: tf.Tensor) -> tf.Tensor:
            weight = tf.where(possible, dloss, 0.0)[:, None, None]
            moves = occupancies(blank, label, logit_lengths, label_lengths)
            return emission.gradient(logits, symbols, normaliser, *(weight * x for x in moves))

        return total, gradient

    return loss(logits)


def next_labels(labels: tf.Tensor, label_lengths: tf.Tensor, prefixes: int) -> tf.Tensor:
    """The label after each prefix: int32 [batch, labels + 1], 0 where there is none.

    Raises:
        UserError: there are not `prefixes` of them.
    """
    labels = tf.cast(labels, tf.int32)
    if labels.shape[1] + 1 != prefixes:
        raise UserError(
            "A lattice has a column for each label and one more. "
            f"Received: {labels.shape[1]} labels, {prefixes} columns"
        )
    # Padding may be anything, also no symbol at all.
    real = tf.sequence_mask(label_lengths, labels.shape[1])
    return tf.pad(tf.where(real, labels, 0), [[0, 0], [0, 1]])
