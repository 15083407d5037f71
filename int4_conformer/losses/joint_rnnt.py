"""Transducer loss through a joint network whose lattice of logits is never held.

The lattice [batch, time, labels + 1] is cut into tiles of some frames by some prefixes of one
utterance. A loop takes a few tiles at a time: their logits give the scores of their moves, which
are kept, and are forgotten. The gradient of the lattice is known in closed form from those scores
(`lattice`, `Emission`); a second loop computes the logits of each tile again and hands their
gradient to the joint's own differentiation, whatever that is (straight-through, tied, ...).

The loops are of static shape and run as often as there is something to do:

- forward, tiles without a real point are left out, so padding costs little;
- backward, so are tiles that alignments hardly ever visit (`rare`). What that leaves out of the
  gradient is below the rounding of float32; yet it is most of a large lattice, since alignments
  keep to a band around a path from corner to corner.
"""

from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.losses.emission import Emission
from int4_conformer.losses.joint_tiles import Joint, JointTiles
from int4_conformer.losses.lattice import cost, occupancies


def joint_rnnt_loss(
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
    fast_emit: float = 0.0,
    label_smoothing: float = 0.0,
    rare: float = 1e-9,
    logits_at_once: int = 2**21,
) -> tf.Tensor:
    """`rnnt_loss` of `joint(frames[:, :, None], predicted[:, None], *operands)`.

    Values and gradients are the same up to rounding, in less memory: that of some float32 per point
    of the lattice, and of a few tensors of `logits_at_once` logits.

    Args:
        joint: given frames [n, t, 1, dim], predictions [n, 1, u, dim] and the operands, returns
            logits float [n, t, u, vocab]. It is called in loops, forward and backward: it must be
            deterministic and read nothing that is to have a gradient but its arguments.
        frames: float [batch, time, dim].
        predicted: float [batch, labels + 1, dim].
        operands: whatever else is to have a gradient, such as weights; floats.
        labels: int32 [batch, labels], padded with any ids.
        frame_lengths: int32 [batch], real frames; 0 marks a row of padding.
        label_lengths: int32 [batch], real labels.
        blank_id: id of the blank.
        vocab_size: symbols of the logits.
        fast_emit: see `Emission`; changes the gradient alone.
        label_smoothing: see `Emission`; changes loss and gradient.
        rare: tiles get no gradient if alignments visit each of their points with at most this
            probability; with a negative one all do.
        logits_at_once: logits in a step of a loop, though at least those of a tile of up to 16 x 8
            points. With fewer than the default (8 MB in float32) products are slower.

    Returns:
        float32 [batch]; 0, with zero gradient, for rows of padding and where no alignment is
        possible.

    Raises:
        UserError: an option is outside its range, or the shapes do not belong together.
    """
    emission = Emission(blank_id=blank_id, fast_emit=fast_emit, label_smoothing=label_smoothing)
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
    forward = lattice.tiles.plan(lattice.real)

    def scores(logits: tf.Tensor, symbols: tf.Tensor) -> tf.Tensor:
        return tf.stack(emission.scores(logits, symbols))

    @tf.custom_gradient
    def loss(frames: tf.Tensor, predicted: tf.Tensor, *operands: tf.Tensor):
        found = lattice.map(forward, scores, 3, frames, predicted, operands)
        blank, label, normaliser = tf.unstack(found)
        total, possible = cost(blank, label, frame_lengths, label_lengths)

        def gradient(dloss: tf.Tensor) -> list[tf.Tensor]:
            moves = occupancies(blank, label, frame_lengths, label_lengths)
            weight = tf.where(possible, dloss, 0.0)[:, None, None]
            backward = lattice.tiles.plan((moves[0] + moves[1] > rare) & (weight != 0.0))
            taken = [moves[0] * weight, moves[1] * weight]
            sources = frames, predicted, operands
            return lattice.gradients(backward, emission.gradient, *sources, [normaliser], taken)

        return total, gradient

    return loss(frames, predicted, *operands)
