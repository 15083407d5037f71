"""States of layers that are given an utterance piece by piece.

A layer that looks beyond its frame has `initial_state(batch)` and `step(piece, ..., state)`, which
returns the outputs of the piece and the state for the next one. States are flat dictionaries of
tensors of static shape, whose names say whose they are: `block_0/attention/key`.
"""

from typing import Any

import tensorflow as tf

State = dict[str, tf.Tensor]


def of_part(state: State, name: str) -> State:
    """The state of the part `name`, without that name."""
    prefix = f"{name}/"
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def named(name: str, state: State) -> State:
    """The state of a part as its whole holds it."""
    return {f"{name}/{key}": value for key, value in state.items()}


def follow(past: tf.Tensor, piece: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Past frames with a piece behind them, and as many last ones as there were past ones.

    Args:
        past: [batch, frames, ...].
        piece: [batch, time, ...].
    """
    both = tf.concat([past, piece], axis=1)
    return both, both[:, piece.shape[1] :]


def where_rows(rows: tf.Tensor, new: Any, old: Any) -> Any:
    """Of two structures of tensors [batch, ...], the rows of `new` where `rows`, bool [batch]."""

    def select(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reshape(rows, [-1] + [1] * (new.shape.rank - 1)), new, old)

    return tf.nest.map_structure(select, new, old)
