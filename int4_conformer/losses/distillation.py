"""Learning from another transducer's distributions, arXiv 2011.06110.

Those over all symbols, at all points of the lattice, would be as large as its logits. Each is
collapsed to three events, as section 3 has it: the blank, the label that comes next, and the rest.
"""

from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.losses.emission import finite
from int4_conformer.losses.joint_tiles import Joint, JointTiles
from int4_conformer.losses.walk import IMPOSSIBLE
from int4_conformer.xla import fused

# Logits in a step of a loop, as those of `joint_rnnt_loss`.
_LOGITS_AT_ONCE = 2**21


def collapsed_lattice(
    joint: Joint,
    frames: tf.Tensor,
    predicted: tf.Tensor,
    operands: Sequence[tf.Tensor],
    labels: tf.Tensor,
    frame_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    blank_id: int = 0,
    *,
    vocab_size: int,
    logits_at_once: int = _LOGITS_AT_ONCE,
) -> tf.Tensor:
    """Log-probabilities of blank, next label and the rest; arguments as `joint_rnnt_loss`.

    Behind the last label there is no next one: it is impossible there.

    Returns:
        float32 [3, batch, time, labels + 1]; any numbers at padding.
    """
    lattice = JointTiles(
        joint,
        frames,
        predicted,
        labels,
        frame_lengths,
        label_lengths,
        points_at_once=logits_at_once // vocab_size,
    )
    return lattice.map(
        lattice.tiles.plan(lattice.real),
        lambda *points: _collapsed(*points, blank_id),
        3,
        frames,
        predicted,
        operands,
        [lattice.labelled],
    )


def joint_distillation_loss(
    joint: Joint,
    frames: tf.Tensor,
    predicted: tf.Tensor,
    operands: Sequence[tf.Tensor],
    labels: tf.Tensor,
    frame_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    teacher: tf.Tensor,
    blank_id: int = 0,
    *,
    vocab_size: int,
    logits_at_once: int = _LOGITS_AT_ONCE,
) -> tf.Tensor:
    """Kullback-Leibler divergence of a joint network's collapsed distributions from a teacher's.

    With P those of the teacher and Q the joint's, U labels and T frames:

        1 / (U + 1) * sum over t < T and u <= U of sum over k of P(k) log(P(k) / Q(k))

    so that it grows with the frames, as the transducer loss does, and not with the points. In tiles
    and two loops, as `joint_rnnt_loss`; all real points have a gradient, not only those near likely
    alignments.

    What is not said here is as for `joint_rnnt_loss`.

    Args:
        teacher: float32 [3, batch, time, labels + 1], of `collapsed_lattice`; it gets no gradient.

    Returns:
        float32 [batch]; 0, with zero gradient, for rows of padding.

    Raises:
        UserError: the shapes do not belong together.
    """
    frames, predicted = tf.convert_to_tensor(frames), tf.convert_to_tensor(predicted)
    lattice = JointTiles(
        joint,
        frames,
        predicted,
        labels,
        frame_lengths,
        label_lengths,
        points_at_once=logits_at_once // vocab_size,
    )
    plan = lattice.tiles.plan(lattice.real)
    share = tf.where(lattice.real, 1.0 / tf.cast(label_lengths + 1, tf.float32)[:, None, None], 0.0)

    known = [lattice.labelled, *tf.unstack(tf.stop_gradient(teacher))]

    def divergence(
        logits: tf.Tensor, symbols: tf.Tensor, labelled: tf.Tensor, *targets: tf.Tensor
    ) -> tf.Tensor:
        wanted = tf.stack(targets)
        found = _collapsed(logits, symbols, labelled, blank_id)
        return tf.reduce_sum(tf.exp(wanted) * (wanted - found), axis=0, keepdims=True)

    @tf.custom_gradient
    def loss(frames: tf.Tensor, predicted: tf.Tensor, *operands: tf.Tensor):
        sources = frames, predicted, operands
        (points,) = tf.unstack(lattice.map(plan, divergence, 1, *sources, known))

        def gradient(dloss: tf.Tensor) -> list[tf.Tensor]:
            weight = share * dloss[:, None, None]

            def of_logits(*points: tf.Tensor) -> tf.Tensor:
                return _gradient(*points, blank_id)

            return lattice.gradients(plan, of_logits, *sources, known, [weight])

        # Points of padding within a tile may have been given anything.
        return tf.reduce_sum(tf.where(share > 0.0, points * share, 0.0), axis=[1, 2]), gradient

    return loss(frames, predicted, *operands)


@fused
def _collapsed(
    logits: tf.Tensor, symbols: tf.Tensor, labelled: tf.Tensor, blank_id: int
) -> tf.Tensor:
    """float32 [3, ...] of logits [..., vocab], labels [...], and bool [...] where there is one."""
    z = finite(logits)
    normaliser = tf.reduce_logsumexp(z, axis=-1)
    label = tf.where(labelled, tf.gather(z, symbols, batch_dims=symbols.shape.rank), IMPOSSIBLE)
    is_rest = _is_rest(z, symbols, labelled, blank_id)
    rest = tf.reduce_logsumexp(tf.where(is_rest, z, IMPOSSIBLE), axis=-1)
    return tf.maximum(tf.stack([z[..., blank_id], label, rest]) - normaliser, IMPOSSIBLE)


@fused
def _gradient(
    logits: tf.Tensor,
    symbols: tf.Tensor,
    labelled: tf.Tensor,
    blank: tf.Tensor,
    label: tf.Tensor,
    rest: tf.Tensor,
    weight: tf.Tensor,
    blank_id: int,
) -> tf.Tensor:
    """Of the divergence from log-probabilities `blank`, `label` and `rest`, times the weight.

    With p the softmax, and r that of the rest alone: p less what each symbol should have, which is
    P(rest) r for one of the rest.
    """
    z = finite(logits)
    is_rest = _is_rest(z, symbols, labelled, blank_id)
    of_rest = tf.nn.softmax(tf.where(is_rest, z, IMPOSSIBLE))
    vocab = tf.range(z.shape[-1])
    wanted = tf.where(is_rest, of_rest * tf.exp(rest)[..., None], tf.exp(label)[..., None])
    wanted = tf.where(vocab == blank_id, tf.exp(blank)[..., None], wanted)
    return tf.cast((tf.nn.softmax(z) - wanted) * weight[..., None], logits.dtype)


def _is_rest(z: tf.Tensor, symbols: tf.Tensor, labelled: tf.Tensor, blank_id: int) -> tf.Tensor:
    vocab = tf.range(z.shape[-1])
    is_label = (vocab == symbols[..., None]) & labelled[..., None]
    return (vocab != blank_id) & ~is_label
