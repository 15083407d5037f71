"""Connectionist temporal classification, Graves et al. 2006.

`tf.nn.ctc_loss` computes the same. Its loops have one name for all shapes, of which TensorFlow
complains where batches have two; traced for open shapes instead, XLA compiles it again for every
batch. It also holds a matrix [labels, labels] of moves for each row, where a frame has three.
"""

import tensorflow as tf

from int4_conformer.losses.walk import IMPOSSIBLE, POSSIBLE, log_add, scaled, walk


def ctc_loss(
    logits: tf.Tensor,
    labels: tf.Tensor,
    logit_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    blank_id: int = 0,
) -> tf.Tensor:
    """Negative log-probability of the labels, summed over all alignments.

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
    logits = tf.cast(logits, tf.float32)
    _, time, vocab = logits.shape
    states = _states(labels, label_lengths, blank_id)
    # A product, whose gradient is one: XLA scatters one value at a time.
    log_probs = tf.maximum(tf.nn.log_softmax(logits), IMPOSSIBLE)
    scores = tf.matmul(log_probs, tf.one_hot(states, vocab), transpose_b=True)
    skips = (states != blank_id) & (states != tf.roll(states, 2, axis=1))
    is_frame = tf.sequence_mask(logit_lengths, time)
    is_last = is_frame & ~tf.sequence_mask(logit_lengths - 1, time)
    ends = 2 * label_lengths[:, None] - tf.range(states.shape[1])
    lattice = _Lattice(
        skips=skips,
        is_frame=tf.transpose(is_frame)[:, :, None],
        # The last label, or the blank after it.
        final=tf.transpose(is_last)[:, :, None] & ((ends == 0) | (ends == 1)),
    )

    @tf.custom_gradient
    def cost(scores: tf.Tensor):
        total, possible, occupancies = lattice.cost(tf.transpose(scores, [1, 0, 2]))

        def gradient(dtotal: tf.Tensor) -> tf.Tensor:
            weight = tf.where(possible, dtotal, 0.0)[:, None, None]
            return -weight * tf.transpose(occupancies, [1, 0, 2])

        return total, gradient

    return cost(scores)


def _states(labels: tf.Tensor, label_lengths: tf.Tensor, blank_id: int) -> tf.Tensor:
    """Symbols of the states, int32 [batch, 2 labels + 1]: labels, and blanks around them."""
    labels = tf.cast(labels, tf.int32)
    # Padding may be anything, also no symbol at all.
    labels = tf.where(tf.sequence_mask(label_lengths, labels.shape[1]), labels, blank_id)
    pairs = tf.stack([tf.fill(labels.shape, blank_id), labels], axis=2)
    pairs = tf.reshape(pairs, [labels.shape[0], -1])
    return tf.pad(pairs, [[0, 0], [0, 1]], constant_values=blank_id)


class _Lattice:
    """Moves from frame to frame: to the same state, the next, and the label after a blank.

    Args:
        skips: bool [batch, states], whether a state is reached from the last but one.
        is_frame: bool [time, batch, 1].
        final: bool [time, batch, states], where alignments end.
    """

    def __init__(self, skips: tf.Tensor, is_frame: tf.Tensor, final: tf.Tensor):
        self._skips = skips
        self._is_frame = is_frame
        self._final = tf.where(final, 0.0, IMPOSSIBLE)

    def cost(self, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Of float32 [time, batch, states] log-probabilities.

        Returns:
            float32 [batch], the negative log-probability of all alignments, 0 where there is none;
            bool [batch], whether there is one; float32 [time, batch, states], the probability that
            an alignment is in a state, which is the negative derivative.
        """
        scores = tf.where(self._is_frame, scores, IMPOSSIBLE)
        alpha, scales = scaled(self._forward(scores))
        ends = tf.reduce_logsumexp(alpha + self._final, axis=[0, 2])
        possible = ends > POSSIBLE
        total = tf.where(possible, -(ends + tf.reduce_sum(scales, axis=0)), 0.0)
        visits = tf.nn.softmax(alpha + scaled(self._backward(scores))[0])
        visits = tf.where(self._is_frame & possible[:, None], visits, 0.0)
        return total, possible, visits

    def _forward(self, scores: tf.Tensor) -> tf.Tensor:
        """Log-probability of reaching each state, float32 [time, batch, states]."""
        start = tf.where(tf.range(scores.shape[2]) < 2, scores[0], IMPOSSIBLE)

        def step(n: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
            skipped = tf.where(self._skips, _shifted(alpha, 2), IMPOSSIBLE)
            return log_add(log_add(alpha, _shifted(alpha, 1)), skipped) + scores[n]

        return walk(step, start, range(scores.shape[0]))

    def _backward(self, scores: tf.Tensor) -> tf.Tensor:
        """Log-probability of ending from each state, float32 [time, batch, states]."""

        def step(n: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
            beta += scores[n + 1]
            skipped = tf.where(self._skips, beta, IMPOSSIBLE)
            moved = log_add(log_add(beta, _shifted(beta, -1)), _shifted(skipped, -2))
            return log_add(moved, self._final[n])

        return walk(step, self._final[-1], range(scores.shape[0])[::-1])


def _shifted(x: tf.Tensor, count: int) -> tf.Tensor:
    """[batch, states], moved on by so many states."""
    pad = [max(count, 0), max(-count, 0)]
    x = tf.pad(x, [[0, 0], pad], constant_values=IMPOSSIBLE)
    return x[:, : x.shape[1] - count] if count > 0 else x[:, -count:]
