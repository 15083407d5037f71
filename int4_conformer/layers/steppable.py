"""Layers that hear an utterance whole or segment by segment: one contract for all of them.

A layer that looks beyond its frame is a `Steppable`. What it computes stands once, in `advance`; a
whole utterance is a segment behind which nothing was heard. States are flat dictionaries of tensors
of static shape, whose names say whose they are: `block_0/attention/key`.
"""

from typing import Any

import tensorflow as tf

State = dict[str, tf.Tensor]


class Steppable:
    """Mixin, to be named before a Keras layer: the same outputs for an utterance whole and in
    segments.

        state = layer.initial_state(batch)
        for segment in segments:
            y, state = layer.step(segment, state)

    The outputs of all segments behind one another are those of `layer(utterance)`, up to the
    rounding of floats; `verify_steppable` checks that. Names, shapes and types of a state never
    change.

    Call: x [batch, time, ...], padding_mask bool [batch, time'] (False: padding) or None -> [batch,
        time', ...].
    """

    # The frames of utterances and segments, as a mask counts them, are a multiple of this.
    segment_multiple: int = 1

    def initial_state(self, batch: int) -> State:
        """The state before the first segment."""
        raise NotImplementedError

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        """Outputs of a segment and the state behind it, or of an utterance and None.

        Args:
            x: [batch, time, ...].
            padding_mask: bool [batch, time'], or None if nothing is padding.
            state: behind the segment before; None where `x` is the whole utterance.
            training: whether dropout is on.
        """
        raise NotImplementedError

    def call(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        return self.advance(x, padding_mask, None, training)[0]

    def step(
        self, x: tf.Tensor, state: State, padding_mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """As `call`, for a segment.

        Args:
            x: [batch, time, ...].
            state: of the segment before.
            padding_mask: bool [batch, time'], or None.
        """
        # Keras makes tensors of what a call is given, and nobody does here.
        return self.advance(tf.convert_to_tensor(x), padding_mask, state, training=False)


def of_part(state: State | None, name: str) -> State | None:
    """The state of the part `name`, without that name; None stays None."""
    if state is None:
        return None
    prefix = f"{name}/"
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def named(name: str, state: State) -> State:
    """The state of a part as its whole holds it."""
    return {f"{name}/{key}": value for key, value in state.items()}


def joined(**parts: State | None) -> State | None:
    """The states of parts, by their names, as one; None for a whole utterance, which has none."""
    if any(state is None for state in parts.values()):
        return None
    return {
        key: value for name, state in parts.items() for key, value in named(name, state).items()
    }


def follow(
    past: tf.Tensor | None, segment: tf.Tensor, frames: int
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Past frames with a segment behind them, and the last ones, for the next segment.

    Args:
        past: [batch, frames, ...]; None for zeros before a whole utterance.
        segment: [batch, time, ...].
        frames: how many past frames there are.
    """
    if past is None:
        return tf.pad(segment, [[0, 0], [frames, 0]] + [[0, 0]] * (segment.shape.rank - 2)), None
    both = tf.concat([past, segment], axis=1)
    return both, both[:, segment.shape[1] :]


def where_rows(rows: tf.Tensor, new: Any, old: Any) -> Any:
    """Of two structures of tensors [batch, ...], the rows of `new` where `rows`, bool [batch]."""

    def select(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reshape(rows, [-1] + [1] * (new.shape.rank - 1)), new, old)

    return tf.nest.map_structure(select, new, old)
