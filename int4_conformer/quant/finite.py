"""Checks mode: infinities and NaN are found where they first meet quantization."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_enabled = False


@contextlib.contextmanager
def checks() -> Iterator[None]:
    """Within this context, quantizing an infinity or a NaN raises `tf.errors.InvalidArgumentError`.

    A graph has the checks if it was traced within the context. Outside, such values give
    meaningless codes: looking for them costs a pass over each tensor, and XLA drops the check.
    """
    global _enabled
    before, _enabled = _enabled, True
    try:
        yield
    finally:
        _enabled = before


def enabled() -> bool:
    """Whether checks are on."""
    return _enabled


def checked(x: tf.Tensor) -> tf.Tensor:
    """`x`, all finite if checks are on."""
    if not _enabled:
        return x
    return tf.debugging.check_numerics(
        x, "Only finite values can be quantized; look for the layer that made this one"
    )
