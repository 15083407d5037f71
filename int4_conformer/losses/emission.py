"""What a point of a transducer's lattice gives its two moves, and the gradient of its logits."""

import dataclasses

import tensorflow as tf

from int4_conformer.errors import require_finite, require_in, require_not_negative
from int4_conformer.losses.walk import IMPOSSIBLE
from int4_conformer.xla import fused


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emission:
    """How logits become the moves of a transducer's lattice.

    With p the softmax of a point's logits, y its label, V symbols and e = `label_smoothing`:

        blank score = log p(blank)
        label score = (1 - e) log p(y) + e / (V - 1) * sum of log p(v) over all v but the blank

    A blank is never smoothed: alignments stay the model's own. With a and b the probabilities that
    an alignment takes the point's blank and label, and l = `fast_emit`, the gradient of the loss is

        d loss / d logits[v] = (a + (1 + l) b) p(v) - a [v = blank]
            - (1 + l) b ((1 - e) [v = y] + e / (V - 1) [v != blank])
    """

    # Id of the blank.
    blank_id: int = 0
    # Lambda of FastEmit (arXiv 2010.11148, section 3.1): the gradient that reaches the label scores
    # is multiplied by 1 + lambda. The loss that is reported is the one without it.
    fast_emit: float = 0.0
    # Share of a label's score that goes to all symbols but the blank alike. It is part of the loss
    # that is reported.
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        require_not_negative(blank_id=self.blank_id, fast_emit=self.fast_emit)
        require_finite(fast_emit=self.fast_emit)
        require_in("[0, 1)", label_smoothing=self.label_smoothing)

    def scores(
        self, logits: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Scores of the moves.

        Args:
            logits: float [..., vocab], unnormalised.
            labels: int32 [...], symbols.

        Returns:
            three of float32 [...]: blank, label, and the logits' log-sum-exp.
        """
        return _scores(logits, labels, self)

    def gradient(
        self,
        logits: tf.Tensor,
        labels: tf.Tensor,
        normaliser: tf.Tensor,
        blank: tf.Tensor,
        label: tf.Tensor,
    ) -> tf.Tensor:
        """Gradient of the loss.

        Args:
            logits: float [..., vocab].
            labels: int32 [...], symbols.
            normaliser: float32 [...], their log-sum-exp.
            blank: float32 [...], a in the docstring of the class, times the loss's own gradient.
            label: float32 [...], b likewise.

        Returns:
            of type and shape of `logits`.
        """
        return _gradient(logits, labels, normaliser, blank, label, self)


@fused
def _scores(
    logits: tf.Tensor, labels: tf.Tensor, emission: Emission
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    z = finite(logits)
    vocab = z.shape[-1]
    largest = tf.reduce_max(z, axis=-1)
    normaliser = largest + tf.math.log(tf.reduce_sum(tf.exp(z - largest[..., None]), axis=-1))
    blank = z[..., emission.blank_id]
    label = tf.gather(z, labels, batch_dims=labels.shape.rank)
    if emission.label_smoothing:
        others = (tf.reduce_sum(z, axis=-1) - blank) / (vocab - 1)
        label += emission.label_smoothing * (others - label)
    return blank - normaliser, label - normaliser, normaliser


@fused
def _gradient(
    logits: tf.Tensor,
    labels: tf.Tensor,
    normaliser: tf.Tensor,
    blank: tf.Tensor,
    label: tf.Tensor,
    emission: Emission,
) -> tf.Tensor:
    label *= 1.0 + emission.fast_emit
    blank, label = blank[..., None], label[..., None]
    softmax = tf.exp(finite(logits) - normaliser[..., None])
    vocab = tf.range(logits.shape[-1])
    is_blank, is_label = vocab == emission.blank_id, vocab == labels[..., None]
    smoothed = emission.label_smoothing / (logits.shape[-1] - 1)
    target = tf.where(is_blank, blank, smoothed * label) + tf.where(
        is_label, (1.0 - emission.label_smoothing) * label, 0.0
    )
    return tf.cast(softmax * (blank + label) - target, logits.dtype)


def finite(logits: tf.Tensor) -> tf.Tensor:
    """float32, with a number for a symbol that minus infinity rules out."""
    return tf.maximum(tf.cast(logits, tf.float32), IMPOSSIBLE)
