"""Which frames a module sees from each frame, and how far they are away.

Frames come in chunks of `chunk`, counted from the start of the utterance. From a frame, all frames
of its own chunk are seen, and `left_context` frames before that chunk:

    chunk 1           causal: nothing after the frame itself
    chunk n           right context to the end of the chunk: n - 1 frames at most, 0 at least
    chunk None        the whole utterance

All blocks of a stack have the same chunks, so that their right contexts do not add up: a stack can
be given an utterance in segments of whole chunks.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from int4_conformer.errors import UserError, require_at_least, require_not_negative
from int4_conformer.layers.steppable import State, Steppable, follow, named, of_part

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
    """How far frames see; see the module's docstring.

    Example:

        >>> span = Span(dim=2, chunk=2, left_context=1)
        >>> frames, _ = span.advance(tf.zeros([1, 4, 8]), None, None)
        >>> np.int32(frames.bias[0, 0] == 0)
        array([[1, 1, 0, 0],
               [1, 1, 0, 0],
               [0, 1, 1, 1],
               [0, 1, 1, 1]], dtype=int32)
    """

    # Number of frequencies of the positions times two; the periods go from 2 pi to 20000 pi frames.
    dim: int
    chunk: int | None = None
    left_context: int | None = None

    def __post_init__(self) -> None:
        if self.chunk is not None:
            require_at_least(1, chunk=self.chunk)
        if self.left_context is not None:
            require_not_negative(left_context=self.left_context)
        if self.left_context is not None and self.chunk is None:
            raise UserError(
                "A `left_context` is counted from a chunk; give a `chunk`, too. "
                f"Received: left_context={self.left_context}, chunk=None"
            )

    def initial_state(self, batch: int) -> State:
        """`mask` float32 [batch, left_context]: 1 for each frame before the segment that there is,
        else 0. Not every runtime has booleans among a model's inputs.

        Raises:
            UserError: the frames see without limit.
        """
        if self.chunk is None or self.left_context is None:
            raise UserError(
                "A stream needs an end to what its frames see; give the encoder a `chunk` (1 is "
                f"causal) and a `left_context`. Received: chunk={self.chunk}, "
                f"left_context={self.left_context}"
            )
        return {"mask": tf.zeros([batch, self.left_context])}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None
    ) -> tuple[Frames, State | None]:
        """The frames of a segment, or of whole utterances.

        Args:
            x: [batch, time, ...]; of a segment, whole chunks.
            padding_mask: bool [batch, time] (False: padding), or None.
            state: of the segment before; None for whole utterances.

        Raises:
            UserError: the segment ends within a chunk.
        """
        if state is None:
            return self._whole(x, padding_mask), None
        time = x.shape[1]
        if time % self.chunk:
            raise UserError(
                f"A segment must be whole chunks of {self.chunk} frames; pad the last one, and "
                f"mask the padding. Received: {time} frames"
            )
        mask = tf.ones_like(x[:, :, 0], tf.bool) if padding_mask is None else padding_mask
        seen, past = follow(state["mask"], tf.cast(mask, tf.float32), self.left_context)
        numbers = tf.range(seen.shape[1], dtype=tf.float32)
        bias = self._bias(tf.range(time, dtype=tf.float32), numbers, self.left_context)
        bias = tf.minimum(bias, _bias_where(seen > 0.0)[:, None, None, :])
        frames = Frames(positions=self._positions(numbers), bias=bias, mask=mask)
        return frames, {"mask": past}

    def _whole(self, x: tf.Tensor, mask: tf.Tensor | None) -> Frames:
        numbers = _numbers(x)
        bias = None if self.chunk is None else self._bias(numbers, numbers, 0)
        if mask is not None:
            padding = _bias_where(mask)[:, None, None, :]
            bias = padding if bias is None else tf.minimum(bias, padding)
        return Frames(positions=self._positions(numbers), bias=bias, mask=mask)

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


class SeesFrames(Steppable):
    """A `Steppable` whose frames see others, as its `span` says.

    Layers of a stack that have the same span are given `Frames` that are worked out once: the stack
    calls their `advance_frames`, and its state holds their `initial_memory`.
    """

    # Set by the layer.
    span: Span

    def initial_memory(self, batch: int) -> State:
        """What the layer itself remembers before the first segment."""
        raise NotImplementedError

    def advance_frames(
        self, x: tf.Tensor, frames: Frames, memory: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        """`advance`, with what the frames see."""
        raise NotImplementedError

    @property
    def segment_multiple(self) -> int:
        return self.span.chunk or 1

    def initial_state(self, batch: int) -> State:
        """That of the span, and the layer's memory.

        Raises:
            UserError: the frames see without limit.
        """
        return named("span", self.span.initial_state(batch)) | self.initial_memory(batch)

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        frames, seen = self.span.advance(x, padding_mask, of_part(state, "span"))
        y, memory = self.advance_frames(x, frames, state, training)
        return y, None if state is None else named("span", seen) | memory


def _bias_where(sees: tf.Tensor) -> tf.Tensor:
    return tf.where(sees, 0.0, _MASKED)


def _numbers(x: tf.Tensor) -> tf.Tensor:
    """float32 0, 1, .. for each frame of `x`."""
    if x.shape[1] is not None:
        return tf.range(x.shape[1], dtype=tf.float32)
    # A running count in place of a range: LiteRT then knows every shape once the input is sized,
    # and can hand the whole graph to XNNPACK.
    return tf.cumsum(tf.zeros_like(x[0, :, 0]) + 1.0, exclusive=True)
