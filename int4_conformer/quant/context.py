"""What products know of where they are traced; each thread has its own."""

import contextlib
import contextvars
import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.xla import mode, without_pieces

# Rows `{"rows", "width", "columns", "ms": {backend: milliseconds}}` by device kind.
Table = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """The surroundings of a product."""

    # How products are computed, an object of `quant.products`; None: as in training.
    products: Any = None
    # What `auto` chooses a backend by; None: the table that comes with the package.
    table: Table | None = None
    # Whether infinities and NaN are looked for.
    checks: bool = False
    # The training step, counted from 0; None: layers go by the steps that they have counted.
    step: int | None = None
    # Whether quantized layers compute in float for now.
    in_float: bool = False


_current = contextvars.ContextVar("quant", default=Context())  # noqa: B039 (it is frozen)

# What `traced_once` has traced, by the graph that calls it; a function does not hold its caller.
_traces: MutableMapping[tf.Graph, dict[Any, Any]] = weakref.WeakKeyDictionary()


def context() -> Context:
    """The surroundings now."""
    return _current.get()


@contextlib.contextmanager
def changed(**fields: Any) -> Iterator[None]:
    """Changes fields of `Context` for a while."""
    token = _current.set(dataclasses.replace(_current.get(), **fields))
    try:
        yield
    finally:
        _current.reset(token)


def backend_table(table: Table) -> contextlib.AbstractContextManager[None]:
    """Within this context, `auto` chooses by another table, such as one measured here."""
    return changed(table=table)


def at_step(step: int) -> contextlib.AbstractContextManager[None]:
    """What is traced within this context is as at this training step, counted from 0; whoever
    runs it counts its steps (`layers.quantized.count_step`).

    Elsewhere, layers with a `start_step` go by the steps that they have counted, and hold both what
    they compute before it and after it; XLA takes minutes to compile that for a whole recogniser.
    """
    return changed(step=step)


def in_float() -> contextlib.AbstractContextManager[None]:
    """Within this context, layers that are quantized compute in float, as before their
    `start_step`, and count steps all the same."""
    return changed(in_float=True)


def as_trained() -> contextlib.AbstractContextManager[None]:
    """Within this context, layers are where their own training left them, as another model's are
    within a training step."""
    return changed(step=None, in_float=False)


@contextlib.contextmanager
def checks() -> Iterator[None]:
    """Within this context, quantizing an infinity or a NaN raises `tf.errors.InvalidArgumentError`.

    A graph has the checks if it was traced within the context. Outside, such values give
    meaningless codes: looking for them costs a pass over each tensor, and XLA drops the check.
    """
    with changed(checks=True), without_pieces():
        yield


def checked(x: tf.Tensor) -> tf.Tensor:
    """`x`, all finite if checks are on."""
    if not context().checks:
        return x
    return tf.debugging.check_numerics(
        x, "Only finite values can be quantized; look for the layer that made this one"
    )


def traced_once(function: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """A function of tensors that a graph calls as a function, not each time as a copy of its ops.

    A model has hundreds of products of few different shapes; tracing one takes a tenth of a second.

    Args:
        function: takes the settings, and then tensors or None; it reads nothing else, no variable.
        settings: hashable.

    Returns:
        what takes the tensors alone.
    """

    def call(*tensors: tf.Tensor | None) -> Any:
        return function(*settings, *tensors)

    if tf.executing_eagerly():
        return call
    traces = _traces.setdefault(tf.compat.v1.get_default_graph(), {})
    surroundings = (context(), mode())
    return traces.setdefault(
        (surroundings, function, *settings), tf.function(call, autograph=False)
    )
