"""The lattice of a transducer, arXiv 1211.3711: its alignments' probability, and where they go.

The lattice is walked by anti-diagonals: all points with the same t + u are independent, so a walk
is time + labels vector steps of static shape, which XLA compiles (`losses/walk.py`). Nothing is
differentiated through the loops: forward and backward variables give the probability of every move
in closed form.
"""

import tensorflow as tf

from int4_conformer.losses.walk import IMPOSSIBLE, POSSIBLE, log_add, scaled, walk
from int4_conformer.xla import fused


@fused
def cost(
    blank: tf.Tensor, label: tf.Tensor, time_lengths: tf.Tensor, label_lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Negative log-probability of all alignments together.

    Args:
        blank: float32 [batch, time, labels + 1], log-probability of moving in time.
        label: the same shape, of emitting the next label; the last column is never used.
        time_lengths: int32 [batch]; 0 marks a row of padding.
        label_lengths: int32 [batch].

    Returns:
        float32 [batch], 0 where there is no alignment: log-probabilities of -1e30 and below are
        those of impossible moves, and lengths may lie outside the lattice, as do those of padding.
        bool [batch], where there is one.
    """
    lattice = _Lattice(blank, label, time_lengths, label_lengths)
    alpha, scales = lattice.forward()
    ends = tf.reduce_max(alpha + lattice.final, axis=[0, 2])
    possible = ends > POSSIBLE
    return tf.where(possible, -(ends + tf.reduce_sum(scales, axis=0)), 0.0), possible


@fused
def occupancies(
    blank: tf.Tensor, label: tf.Tensor, time_lengths: tf.Tensor, label_lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Probability that an alignment takes the blank, and the label, at each point.

    With the sign turned, they are the derivatives of `cost`, which has the same arguments.

    Returns:
        two of float32 [batch, time, labels + 1]; 0 where there is no alignment.
    """
    lattice = _Lattice(blank, label, time_lengths, label_lengths)
    alpha, _ = lattice.forward()
    raw = lattice.backward()
    beta, _ = scaled(raw)
    following = tf.concat([beta[1:], tf.fill(tf.shape(beta[:1]), IMPOSSIBLE)], axis=0)
    # An alignment visits one point of each diagonal up to its end.
    here = alpha + beta
    largest = tf.reduce_max(here, axis=2, keepdims=True)
    visits = tf.where(largest > POSSIBLE, tf.exp(here - largest), 0.0)
    visits = tf.math.divide_no_nan(visits, tf.reduce_sum(visits, axis=2, keepdims=True))

    def taken(move: tf.Tensor) -> tf.Tensor:
        return visits * tf.exp(tf.minimum(move - raw, 0.0))

    return (
        lattice.unskew(taken(lattice.blank + following) + taken(lattice.final)),
        lattice.unskew(taken(lattice.label + _left(following))),
    )


class _Lattice:
    """Moves by diagonals, float32 [diagonals, batch, labels + 1], and the walks over them."""

    def __init__(
        self,
        blank: tf.Tensor,
        label: tf.Tensor,
        time_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
    ):
        _, self._time, self._prefixes = blank.shape
        self._diagonals = self._time + self._prefixes - 1
        t = tf.range(self._time)[None, :, None]
        u = tf.range(self._prefixes)[None, None, :]
        ends_t, ends_u = time_lengths[:, None, None] - 1, label_lengths[:, None, None]
        inside = (t <= ends_t) & (u <= ends_u)
        blank, label = tf.maximum(blank, IMPOSSIBLE), tf.maximum(label, IMPOSSIBLE)
        # The blank at the end leaves the lattice; it is no move within it.
        self.final = self._skew(tf.where((t == ends_t) & (u == ends_u), blank, IMPOSSIBLE))
        self.blank = self._skew(tf.where(inside & (t < ends_t), blank, IMPOSSIBLE))
        self.label = self._skew(tf.where(inside & (u < ends_u), label, IMPOSSIBLE))

    def forward(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Log-probability of reaching each point from the start, scaled, and the scales
        [diagonals, batch]."""
        start = tf.where(tf.range(self._prefixes) == 0, 0.0, IMPOSSIBLE)
        start = tf.broadcast_to(start, self.blank.shape[1:])

        def step(n: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
            emitted = tf.pad(
                (alpha + self.label[n - 1])[:, :-1], [[0, 0], [1, 0]], constant_values=IMPOSSIBLE
            )
            return log_add(alpha + self.blank[n - 1], emitted)

        return scaled(walk(step, start, range(self._diagonals)))

    def backward(self) -> tf.Tensor:
        """Log-probability of ending from each point, on the scale of the diagonal after it."""

        def step(n: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
            moved = log_add(beta + self.blank[n], _left(beta) + self.label[n])
            return log_add(moved, self.final[n])

        return walk(step, self.final[-1], range(self._diagonals)[::-1])

    def _skew(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, prefixes] -> [diagonals, batch, prefixes]; (t, u) goes to row t + u."""
        x = tf.transpose(x, [0, 2, 1])
        pad = self._diagonals + 1 - self._time
        x = tf.pad(x, [[0, 0], [0, 0], [0, pad]], constant_values=IMPOSSIBLE)
        # Rows one longer than they are read shift each row one further: reading them in lines of
        # `diagonals` puts t of row u at t + u.
        x = tf.reshape(x, [x.shape[0], -1])[:, : self._prefixes * self._diagonals]
        x = tf.reshape(x, [x.shape[0], self._prefixes, self._diagonals])
        return tf.transpose(x, [2, 0, 1])

    def unskew(self, x: tf.Tensor) -> tf.Tensor:
        """Inverse of `_skew`."""
        x = tf.transpose(x, [1, 2, 0])
        x = tf.pad(tf.reshape(x, [x.shape[0], -1]), [[0, 0], [0, self._prefixes]])
        x = tf.reshape(x, [x.shape[0], self._prefixes, self._diagonals + 1])
        return tf.transpose(x[:, :, : self._time], [0, 2, 1])


def _left(x: tf.Tensor) -> tf.Tensor:
    """What the next prefix has: [..., n] -> [..., n]."""
    padding = [[0, 0]] * (x.shape.rank - 1) + [[0, 1]]
    return tf.pad(x[..., 1:], padding, constant_values=IMPOSSIBLE)
