"""What a beam search did, round by round, and the tokens that its hypotheses come from.

Hypotheses change places in every round. Instead of moving their tokens along, which would cost the
square of the utterance's length, a search notes each round's changes, and reads back from the end.
"""

from typing import NamedTuple

import tensorflow as tf


class Round(NamedTuple):
    """How a beam came from the one before; all [batch, beam_size] unless said."""

    # int32, place of the hypothesis before.
    parent: tf.Tensor
    # int32, label that was added to it; 0 for none.
    symbol: tf.Tensor
    # float32, the label's log-probability.
    log_prob: tf.Tensor
    # int32 [batch], the frame.
    time: tf.Tensor


class Paths(NamedTuple):
    """The tokens of hypotheses: `Tokens` with a dimension [beam_size] after the batch."""

    # int32 [batch, beam_size, capacity], 0 past the end.
    ids: tf.Tensor
    # int32 [batch, beam_size].
    count: tf.Tensor
    # int32 [batch, beam_size, capacity], the frame in which each was emitted.
    frames: tf.Tensor
    # float32 [batch, beam_size, capacity], the logarithm of each one's probability where it was
    # emitted. All three are of the likelier alignment wherever two became one.
    log_probs: tf.Tensor
    # int32 [batch, beam_size], place in the beam before the first round.
    origin: tf.Tensor

    def at(self, places: tf.Tensor) -> "Paths":
        """The paths at places int32 [batch, any]."""
        return Paths(*(tf.gather(x, places, batch_dims=1) for x in self))


class Rounds(NamedTuple):
    """Rounds so far."""

    # int32 [].
    count: tf.Tensor
    # Each as in `Round`, with a dimension of all rounds that there may be before it.
    parent: tf.Tensor
    symbol: tf.Tensor
    log_prob: tf.Tensor
    time: tf.Tensor

    @classmethod
    def empty(cls, like: tf.Tensor, capacity: int | tf.Tensor) -> "Rounds":
        """No rounds yet of beams like a tensor int32 [batch, beam_size]."""
        each = tf.repeat(tf.zeros_like(like)[None], capacity, axis=0)
        return cls(tf.constant(0), each, each, tf.cast(each, tf.float32), each[:, :, 0])

    def add(self, happened: Round) -> "Rounds":
        """With one more round."""
        place = tf.reshape(self.count, [1, 1])
        noted = [
            tf.tensor_scatter_nd_update(column, place, value[None])
            for column, value in zip(self[1:], happened, strict=True)
        ]
        return Rounds(self.count + 1, *noted)

    def paths(self, capacity: int | tf.Tensor) -> Paths:
        """The tokens of the hypotheses after the last round.

        Args:
            capacity: most tokens of a hypothesis.
        """
        places = tf.cumsum(tf.ones_like(self.parent[0]), axis=1, exclusive=True)

        def unfinished(place: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return place > 0

        def back(place, now, symbols, log_probs):
            place -= 1
            row = tf.reshape(place, [1, 1])
            symbol, log_prob, parent = (
                tf.gather(tf.gather(column, place), now, batch_dims=1)
                for column in (self.symbol, self.log_prob, self.parent)
            )
            symbols = tf.tensor_scatter_nd_update(symbols, row, symbol[None])
            log_probs = tf.tensor_scatter_nd_update(log_probs, row, log_prob[None])
            return place, parent, symbols, log_probs

        nothing = tf.zeros_like(self.symbol), tf.zeros_like(self.log_prob)
        _, origin, symbols, log_probs = tf.while_loop(
            unfinished, back, (self.count, places, *nothing)
        )
        # [rounds, batch, beam_size] -> [batch, beam_size, rounds].
        symbols, log_probs = (tf.transpose(x, [1, 2, 0]) for x in (symbols, log_probs))
        times = tf.repeat(tf.transpose(self.time)[:, None], symbols.shape[1], axis=1)
        emitted = tf.cumsum(tf.cast(symbols > 0, tf.int32), axis=2)
        count = emitted[:, :, -1]
        # A token stands in the first round after which there are as many as its number.
        numbers = tf.zeros_like(count)[:, :, None] + tf.range(1, capacity + 1)
        rounds = tf.searchsorted(emitted, numbers)
        real = numbers <= count[:, :, None]
        rounds = tf.where(real, rounds, 0)

        def taken(x: tf.Tensor) -> tf.Tensor:
            values = tf.gather(x, rounds, batch_dims=2)
            return tf.where(real, values, tf.zeros_like(values))

        return Paths(taken(symbols), count, taken(times), taken(log_probs), origin)
