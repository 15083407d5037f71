"""The training step, where a program knows it when it is traced."""

import contextlib
from collections.abc import Iterator

_step: int | None = None


@contextlib.contextmanager
def at_step(step: int) -> Iterator[None]:
    """What is traced within this context is as at this training step, counted from 0.

    Elsewhere, layers with a `start_step` go by the steps that they have counted, and hold both what
    they compute before it and after it; XLA takes minutes to compile that for a whole recogniser.
    """
    global _step
    before, _step = _step, step
    try:
        yield
    finally:
        _step = before


def known_step() -> int | None:
    """The step of that context; None outside."""
    return _step
