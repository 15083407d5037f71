"""Which frames a module sees from each frame, and how far they are away.

Frames come in chunks of `chunk`, counted from the start of the utterance. From a frame, all frames
of its own chunk are seen, and `left_context` frames before that chunk:

    chunk 1           causal: nothing after the frame itself
    chunk n           right context to the end of the chunk: n - 1 frames at most, 0 at least
    chunk None        the whole utterance

All blocks of a stack have the same chunks, so that their right contexts do not add up: a stack can
be given an utterance in pieces of whole chunks.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.steppable import State, follow

Positions = tuple[tf.Tensor, tf.Tensor]
_MASKED = -1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frames:
    """What modules need to know of the frames that they are given."""

    # Sines and cosines [time, dim / 2] of the positions of all frames that may be seen; those that
    # are given are the last of them.
    positions: Positions
    # float32 [batch or 1, 1, time, seen]: 0 where one frame sees another, else -1e9. None: all see
    # all.
    bias: tf.Tensor | None = None
    # bool [batch, time] of the given frames: not padding. None: none is.
    mask: tf.Tensor | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """How far frames see; see the module's docstring."""

    # Number of frequencies of the positions times two; the periods go from 2 pi to 20000 pi frames.
    dim: int
    chunk: int | None = None
    left_context: int | None = None

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise UserError(f"`chunk` must be at least 1. Received: chunk={self.chunk}")
        if self.left_context is not None and self.left_context < 0:
            raise UserError(
                f"`left_context` must not be negative. Received: left_context={self.left_context}"
            )
        if self.left_context is not None and self.chunk is None:
            raise UserError(
                "A `left_context` is counted from a chunk; give a `chunk`, too. "
                f"Received: left_context={self.left_context}, chunk=None"
            )

    def whole(self, x: tf.Tensor, mask: tf.Tensor | None = None) -> Frames:
        """The frames of whole utterances.

        Args:
            x: [batch, time, ...].
            mask: bool [batch, time]; False is padding.
        """
        numbers = _numbers(x)
        bias = None if self.chunk is None else self._bias(numbers, numbers, 0)
        if mask is not None:
            padding = _bias_where(mask)[:, None, None, :]
            bias = padding if bias is None else tf.minimum(bias, padding)
        return Frames(positions=self._positions(numbers), bias=bias, mask=mask)

    def initial_state(self, batch: int) -> State:
        """`mask` bool [batch, left_context]: which frames before the piece there are.

        Raises:
            UserError: the frames see without limit.
        """
        if self.chunk is None or self.left_context is None:
            raise UserError(
                "A stream needs an end to what its frames see; give the encoder a `chunk` (1 is "
                f"causal) and a `left_context`. Received: chunk={self.chunk}, "
                f"left_context={self.left_context}"
            )
        return {"mask": tf.zeros([batch, self.left_context], tf.bool)}

    def step(self, x: tf.Tensor, mask: tf.Tensor, state: State) -> tuple[Frames, State]:
        """The frames of a piece.

        Args:
            x: [batch, time, ...], whole chunks.
            mask: bool [batch, time].
            state: of the piece before.

        Raises:
            UserError: the piece ends within a chunk.
        """
        time = x.shape[1]
        if time % self.chunk:
            raise UserError(
                f"A piece must be whole chunks of {self.chunk} frames; pad the last one, and mask "
                f"the padding. Received: {time} frames"
            )
        seen, past = follow(state["mask"], mask)
        numbers = tf.range(seen.shape[1], dtype=tf.float32)
        bias = self._bias(tf.range(time, dtype=tf.float32), numbers, self.left_context)
        bias = tf.minimum(bias, _bias_where(seen)[:, None, None, :])
        frames = Frames(positions=self._positions(numbers), bias=bias, mask=mask)
        return frames, {"mask": past}

    def _positions(self, numbers: tf.Tensor) -> Positions:
        half = self.dim // 2
        frequencies = (10000.0 ** (-np.arange(half) / half)).astype(np.float32)
        angles = numbers[:, None] * frequencies
        return tf.sin(angles), tf.cos(angles)

    def _bias(self, queries: tf.Tensor, keys: tf.Tensor, cached: int) -> tf.Tensor:
        """float32 [1, 1, queries, keys], from their numbers; query 0 is key `cached`."""
        # Half a frame on, since graphs divide by multiplying with the reciprocal: 41 / 41 is less
        # than 1 there.
        start = tf.floor((queries + 0.5) / self.chunk)[:, None] * self.chunk + cached
        sees = keys[None] < start + self.chunk
        if self.left_context is not None:
            sees &= keys[None] >= start - self.left_context
        return _bias_where(sees)[None, None]


def _bias_where(sees: tf.Tensor) -> tf.Tensor:
    return tf.where(sees, 0.0, _MASKED)


def _numbers(x: tf.Tensor) -> tf.Tensor:
    """float32 0, 1, .. for each frame of `x`."""
    if x.shape[1] is not None:
        return tf.range(x.shape[1], dtype=tf.float32)
    # A running count in place of a range: LiteRT then knows every shape once the input is sized,
    # and can hand the whole graph to XNNPACK.
    return tf.cumsum(tf.zeros_like(x[0, :, 0]) + 1.0, exclusive=True)
