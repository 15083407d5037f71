"""What XLA compiles of a graph: all of it, or pieces between products that it leaves alone.

oneDNN has the fastest products of a CPU, but TensorFlow runs what stands between them op by op,
each a pass over memory.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_whole = contextvars.ContextVar("whole", default=True)
_pieces = contextvars.ContextVar("pieces", default=True)


def without_xla() -> contextlib.AbstractContextManager[None]:
    """What is traced within this context, forward and backward, XLA shall not compile.

    Backend `auto` may take `onednn` there, and XLA compiles no more than pieces between (`fused`).
    """
    return _set(_whole, False)


def without_pieces() -> contextlib.AbstractContextManager[None]:
    """Within this context, XLA does not compile pieces, either."""
    return _set(_pieces, False)


def compiled_by_xla() -> bool:
    """Whether XLA may come to compile what is traced now."""
    return _whole.get() and not tf.executing_eagerly()


def mode() -> tuple[bool, bool]:
    """Whether XLA may compile what is traced now, and whether it may compile pieces."""
    return _whole.get(), _pieces.get()


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that XLA compiles where it is traced `without_xla`; no gradient flows through it
    there.

    Elsewhere it is the function itself: XLA compiles whole programs anyway, and in eager calls it
    would be at it for every new shape.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if compiled_by_xla() or tf.executing_eagerly() or not _pieces.get():
            return function(*arguments)
        return compiled(*tf.nest.map_structure(_constant, arguments))

    return call


def _constant(argument: Any) -> Any:
    return tf.stop_gradient(argument) if tf.is_tensor(argument) else argument


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
