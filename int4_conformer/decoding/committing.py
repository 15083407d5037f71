"""Beam search over a stream, whose words are final once they are out.

After each segment, tokens that all hypotheses of an utterance share are committed: whatever is
heard later, every text of the search begins with them, so that committing changes nothing of what
it finds. The others wait, with their hypotheses. They have so much room and no more: where the best
hypothesis has more tokens waiting, its first ones are committed, and hypotheses that begin
otherwise are dropped.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from int4_conformer.decoding.beam import NOTHING, Beam, BeamSearch
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.decoding.rounds import Paths


class Waiting(NamedTuple):
    """What a stream remembers between two segments."""

    beam: Beam
    # Tokens that are not committed, each [batch, beam_size, room] and 0 past the end, and their
    # count int32 [batch, beam_size].
    ids: tf.Tensor
    frames: tf.Tensor
    log_probs: tf.Tensor
    count: tf.Tensor
    # int32 [batch], frames so far.
    time: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommittingSearch:
    """A beam search that is given frames segment by segment, and commits to tokens."""

    search: BeamSearch
    # Most tokens of a hypothesis that wait.
    room: int = 64

    def start(self, beam: Beam) -> Waiting:
        """Before the first segment; `beam` is the search's start."""
        none = tf.repeat(tf.zeros_like(beam.label)[:, :, None], self.room, axis=2)
        return Waiting(beam, none, none, tf.cast(none, tf.float32), none[:, :, 0], none[:, 0, 0])

    def __call__(
        self, frames: tf.Tensor, lengths: tf.Tensor | None, waiting: Waiting
    ) -> tuple[Tokens, Waiting]:
        """Hears a segment.

        Args:
            frames: float [batch, time, dim], the joint network's view of the encoder.
            lengths: int32 [batch], or None if no frame is padding.
            waiting: after the segment before.

        Returns:
            the tokens that are final now, their frames counted from the stream's first, and what
            is to be remembered.
        """
        paths, beam = self.search(frames, lengths, waiting.beam)
        waiting = _joined(waiting, paths, beam)
        count, alive = waiting.count, beam.is_alive
        places = _places(waiting.ids)
        # Hypotheses are sorted: the first is the best.
        agrees = (waiting.ids == waiting.ids[:, :1]) & (places < count[:, :, None])
        shared = _length_of_prefix(tf.reduce_all(agrees | ~alive[:, :, None], axis=1))
        commits = tf.maximum(shared, count[:, 0] - self.room)
        stays = alive & (_length_of_prefix(agrees) >= commits[:, None])
        stays &= count - commits[:, None] <= self.room
        beam = beam._replace(
            log_prob=tf.where(stays, beam.log_prob, NOTHING), greedy=beam.greedy & stays
        )
        # The best hypothesis takes the reserved place where its own is dropped.
        first = _places(count) == 0
        beam = beam._replace(
            greedy=beam.greedy | (first & ~tf.reduce_any(beam.greedy, axis=1, keepdims=True))
        )
        final = places[:, 0] < commits[:, None]
        ids, frame, log_probs = (
            tf.where(final, x[:, 0], tf.zeros_like(x[:, 0])) for x in waiting[1:4]
        )
        tokens = Tokens(ids, commits, frame, log_probs)
        left = _without_first(waiting, commits, self.room)
        time = waiting.time + tf.shape(frames)[1]
        return tokens, left._replace(beam=beam, time=time)

    def finish(self, waiting: Waiting) -> Tokens:
        """The tokens of the best hypothesis that still wait, when the stream has ended."""
        beam = self.search.finish(waiting.beam)
        best = tf.argmax(beam.score, axis=1, output_type=tf.int32)[:, None]
        ids, frames, log_probs, count = (tf.gather(x, best, batch_dims=1) for x in waiting[1:5])
        return Tokens(ids[:, 0], count[:, 0], frames[:, 0], log_probs[:, 0])


def _places(x: tf.Tensor) -> tf.Tensor:
    """0, 1, ... along the last axis, in the tensor's shape."""
    return tf.cumsum(tf.ones_like(x, tf.int32), axis=-1, exclusive=True)


def _length_of_prefix(flags: tf.Tensor) -> tf.Tensor:
    """How many flags of the last axis are true before the first false one."""
    return tf.reduce_sum(tf.math.cumprod(tf.cast(flags, tf.int32), axis=-1), axis=-1)


def _joined(waiting: Waiting, paths: Paths, beam: Beam) -> Waiting:
    """The tokens of a segment behind those of the hypotheses that they continue."""
    old, room = tf.gather(waiting.count, paths.origin, batch_dims=1), waiting.ids.shape[2]
    count = old + paths.count
    places = _places(tf.concat([waiting.ids, paths.ids], axis=2))
    places = tf.where(places < old[:, :, None], places, places + room - old[:, :, None])
    real = _places(places) < count[:, :, None]
    places = tf.where(real, places, 0)

    def joined(before: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        both = tf.concat([tf.gather(before, paths.origin, batch_dims=1), new], axis=2)
        values = tf.gather(both, places, batch_dims=2)
        return tf.where(real, values, tf.zeros_like(values))

    return Waiting(
        beam=beam,
        ids=joined(waiting.ids, paths.ids),
        frames=joined(waiting.frames, paths.frames + waiting.time[:, None, None]),
        log_probs=joined(waiting.log_probs, paths.log_probs),
        count=count,
        time=waiting.time,
    )


def _without_first(waiting: Waiting, by: tf.Tensor, size: int) -> Waiting:
    """Without the first tokens, `by` int32 [batch]; room for `size` ones."""
    count = tf.maximum(waiting.count - by[:, None], 0)
    places = _places(waiting.ids)[:, :, :size]
    real = places < count[:, :, None]
    places = tf.where(real, places + by[:, None, None], 0)

    def without(x: tf.Tensor) -> tf.Tensor:
        values = tf.gather(x, places, batch_dims=2)
        return tf.where(real, values, tf.zeros_like(values))

    return waiting._replace(
        ids=without(waiting.ids),
        frames=without(waiting.frames),
        log_probs=without(waiting.log_probs),
        count=tf.minimum(count, size),
    )
