"""Functions with a gradient of their own: straight-through, and what it is made of
(docs/numerics.md, gradients)."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.quant.numerics.tensor import QTensor

# From the gradient of the result to those of the differentiable arguments.
Gradient = Callable[[tf.Tensor], Sequence[tf.Tensor | None]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StraightThrough:
    """A tensor in integers, and its values with a gradient: value == tensor.dequantize()."""

    tensor: QTensor
    value: tf.Tensor

    @property
    def shape(self) -> tf.TensorShape:
        return self.value.shape


def with_gradient(
    function: Callable[..., tuple[tf.Tensor, Gradient]],
    differentiable: Sequence[tf.Tensor],
    constants: Sequence[tf.Tensor | None] = (),
) -> tf.Tensor:
    """Calls a function that brings its own gradient, as `tf.custom_gradient` has it.

    In a graph, `tf.custom_gradient` looks for variables that the function may have read: it walks
    back from the result until it comes to the arguments, through all of the graph if the function
    uses a tensor that is none of them. Models of many products then take a time to trace that
    grows with its square. So the function is given every tensor that it uses.

    Args:
        function: given both kinds of tensors in their order, returns its result and what makes the
            gradients of the differentiable ones from that of the result. It uses no other tensor.
        differentiable: float tensors.
        constants: tensors that get no gradient; None stays None.

    Returns:
        the function's result.

    Example:

        >>> hard = lambda x, codes: (tf.cast(codes, x.dtype), lambda dy: [dy])
        >>> with_gradient(hard, [tf.constant([0.6])], [tf.constant([1], tf.int8)]).numpy()
        array([1.], dtype=float32)
    """
    given = [x for x in constants if x is not None]

    @tf.custom_gradient
    def call(*tensors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[Any]]]:
        known = iter(tensors[len(differentiable) :])
        held = [None if x is None else next(known) for x in constants]
        result, gradient = function(*tensors[: len(differentiable)], *held)
        return result, lambda dy: [*gradient(dy), *[None] * len(given)]

    return call(*differentiable, *given)


def straight_through(soft: tf.Tensor, hard: tf.Tensor) -> tf.Tensor:
    """The value of `hard`, bit for bit, with the gradient of `soft`, which has the same shape."""
    # Adding the difference to `soft` would round.
    return with_gradient(lambda soft, hard: (tf.identity(hard), lambda dy: [dy]), [soft], [hard])
