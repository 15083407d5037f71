"""Transducer loss, arXiv 1211.3711.

The lattice is walked by anti-diagonals: all points with the same t + u are independent, so a walk
is time + labels vector steps of static shape, which XLA compiles. Forward and backward variables
give the gradient in closed form; nothing is differentiated through the loops.
"""

import tensorflow as tf

# Log of an impossible event; finite, so that no difference of two of them is a NaN.
_IMPOSSIBLE = -1e30


def rnnt_loss(
    logits: tf.Tensor,
    labels: tf.Tensor,
    logit_lengths: tf.Tensor,
    label_lengths: tf.Tensor,
    blank_id: int = 0,
) -> tf.Tensor:
    """Negative log-probability of the labels, summed over all alignments.

    Args:
        logits: float [batch, time, labels + 1, vocab], unnormalised.
        labels: int32 [batch, labels], padded with any ids.
        logit_lengths: int32 [batch], real frames; 0 marks a row of padding.
        label_lengths: int32 [batch], real labels.
        blank_id: id of the blank.

    Returns:
        float32 [batch]; 0, with zero gradient, for rows of padding.
    """
    labels = tf.cast(labels, tf.int32)

    @tf.custom_gradient
    def loss(logits: tf.Tensor):
        normaliser = tf.reduce_logsumexp(logits, axis=-1)
        blank = logits[..., blank_id] - normaliser
        batch, time, prefixes = normaliser.shape
        padded = tf.pad(labels, [[0, 0], [0, 1]])
        indices = tf.broadcast_to(padded[:, None], [batch, time, prefixes])
        label = tf.gather(logits, indices, batch_dims=3) - normaliser
        real = logit_lengths > 0
        lattice = _Lattice(blank, label, tf.maximum(logit_lengths, 1), label_lengths)
        alpha, beta = lattice.forward(), lattice.backward()
        log_probability = beta[:, 0, 0]

        def gradient(dloss: tf.Tensor) -> tf.Tensor:
            weight = tf.where(real, dloss, 0.0)[:, None, None]
            d_blank, d_label = lattice.occupancies(alpha, beta)
            d_blank, d_label = d_blank * weight, d_label * weight
            vocab = tf.range(logits.shape[-1])
            softmax = tf.exp(logits - normaliser[..., None])
            return (
                softmax * (d_blank + d_label)[..., None]
                - tf.cast(vocab == blank_id, tf.float32) * d_blank[..., None]
                - tf.cast(vocab == padded[:, None, :, None], tf.float32) * d_label[..., None]
            )

        return tf.where(real, -log_probability, 0.0), gradient

    return loss(tf.cast(logits, tf.float32))


class _Lattice:
    """Log-probabilities of a transducer lattice and the walks over it.

    Args:
        blank: float32 [batch, time, labels + 1], log-probability of moving in time.
        label: the same shape, of emitting the next label; the last column is never used.
        time_lengths: int32 [batch], at least 1.
        label_lengths: int32 [batch].
    """

    def __init__(
        self,
        blank: tf.Tensor,
        label: tf.Tensor,
        time_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
    ):
        batch, self.time, self.prefixes = blank.shape
        self.diagonals = self.time + self.prefixes - 1
        t = tf.range(self.time)[None, :, None]
        u = tf.range(self.prefixes)[None, None, :]
        ends_t, ends_u = time_lengths[:, None, None] - 1, label_lengths[:, None, None]
        self.at_end = tf.broadcast_to(
            (t == ends_t) & (u == ends_u), [batch, self.time, self.prefixes]
        )
        inside = (t <= ends_t) & (u <= ends_u)
        self.final_blank = tf.where(self.at_end, blank, _IMPOSSIBLE)
        # The blank at the end leaves the lattice; it is no move within it.
        self.blank = tf.where(inside & (t < ends_t), blank, _IMPOSSIBLE)
        self.label = tf.where(inside & (u < ends_u), label, _IMPOSSIBLE)

    def forward(self) -> tf.Tensor:
        """Log-probability of reaching each point from the start, [batch, time, labels + 1]."""
        blank, label = self._skew(self.blank), self._skew(self.label)
        start = tf.where(tf.range(self.prefixes) == 0, 0.0, _IMPOSSIBLE)
        start = tf.broadcast_to(start, tf.shape(blank[0]))

        def step(n: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
            emitted = tf.pad(
                (alpha + label[n - 1])[:, :-1], [[0, 0], [1, 0]], constant_values=_IMPOSSIBLE
            )
            return _log_add(alpha + blank[n - 1], emitted)

        return self._unskew(_walk(step, start, 1, self.diagonals))

    def backward(self) -> tf.Tensor:
        """Log-probability of ending from each point, [batch, time, labels + 1]."""
        blank, label, final = (self._skew(x) for x in (self.blank, self.label, self.final_blank))

        def step(n: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
            after_label = tf.pad(beta[:, 1:], [[0, 0], [0, 1]], constant_values=_IMPOSSIBLE)
            return _log_add(_log_add(beta + blank[n], after_label + label[n]), final[n])

        return self._unskew(_walk(step, final[-1], self.diagonals - 2, -1))

    def occupancies(self, alpha: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Probability that an alignment takes the blank, and the label, at each point."""
        total = beta[:, :1, :1]
        after_blank = tf.pad(beta[:, 1:], [[0, 0], [0, 1], [0, 0]], constant_values=_IMPOSSIBLE)
        after_label = tf.pad(beta[:, :, 1:], [[0, 0], [0, 0], [0, 1]], constant_values=_IMPOSSIBLE)
        taken = _log_add(self.blank + after_blank, self.final_blank)
        return tf.exp(alpha + taken - total), tf.exp(alpha + self.label + after_label - total)

    def _skew(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, prefixes] -> [diagonals, batch, prefixes]; (t, u) goes to row t + u."""
        x = tf.transpose(x, [0, 2, 1])
        pad = self.diagonals + 1 - self.time
        x = tf.pad(x, [[0, 0], [0, 0], [0, pad]], constant_values=_IMPOSSIBLE)
        # Rows one longer than they are read shift each row one further: reading them in lines of
        # `diagonals` puts t of row u at t + u.
        x = tf.reshape(x, [x.shape[0], -1])[:, : self.prefixes * self.diagonals]
        return tf.transpose(tf.reshape(x, [x.shape[0], self.prefixes, self.diagonals]), [2, 0, 1])

    def _unskew(self, x: tf.Tensor) -> tf.Tensor:
        """Inverse of `_skew`."""
        x = tf.transpose(x, [1, 2, 0])
        x = tf.pad(tf.reshape(x, [x.shape[0], -1]), [[0, 0], [0, self.prefixes]])
        x = tf.reshape(x, [x.shape[0], self.prefixes, self.diagonals + 1])
        return tf.transpose(x[:, :, : self.time], [0, 2, 1])


def _walk(step, start: tf.Tensor, first: int, end: int) -> tf.Tensor:
    """Stacks `start` and the results of `step` at `first`, ... up to `end` (not included)."""
    stride = 1 if end > first else -1
    size = abs(end - first) + 1
    offset = 1 - stride * first

    def body(n, x, rows):
        x = step(n, x)
        return n + stride, x, rows.write(stride * n + offset, x)

    rows = tf.TensorArray(tf.float32, size=size, element_shape=start.shape).write(0, start)
    _, _, rows = tf.while_loop(
        lambda n, *_: tf.not_equal(n, end), body, (first, start, rows), maximum_iterations=size - 1
    )
    stacked = rows.stack()
    return stacked if stride > 0 else stacked[::-1]


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.maximum(a, b) + tf.math.log1p(tf.exp(-tf.abs(a - b)))
