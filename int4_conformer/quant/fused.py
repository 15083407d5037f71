"""Pieces of a graph that XLA makes one loop of, between products that it does not compile.

oneDNN has the fastest products of a CPU, but TensorFlow runs what stands between them op by op,
each a pass over memory.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from int4_conformer.quant import finite
from int4_conformer.quant.backends import compiled_by_xla


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that XLA compiles where it is traced `without_xla`; no gradient flows through it
    there.

    Elsewhere it is the function itself: XLA compiles whole programs anyway, in eager calls it would
    be at it for every new shape, and in checks mode it would drop the checks.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if compiled_by_xla() or tf.executing_eagerly() or finite.enabled():
            return function(*arguments)
        return compiled(*tf.nest.map_structure(_constant, arguments))

    return call


def _constant(argument: Any) -> Any:
    return tf.stop_gradient(argument) if tf.is_tensor(argument) else argument
