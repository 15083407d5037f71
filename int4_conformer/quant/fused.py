"""Pieces of a graph that XLA makes one loop of, between products that it does not compile.

oneDNN has the fastest products of a CPU, but TensorFlow runs what stands between them op by op,
each a pass over memory.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from int4_conformer.quant import finite


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes `fuse` too: whether XLA compiles it where it is traced.

    No gradient flows through it then. Eager calls are never compiled, since XLA would be at it for
    every new shape, nor is anything in checks mode, whose checks XLA drops.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any, fuse: bool) -> Any:
        if not fuse or tf.executing_eagerly() or finite.enabled():
            return function(*arguments)
        return compiled(*tf.nest.map_structure(_constant, arguments))

    return call


def _constant(argument: Any) -> Any:
    return tf.stop_gradient(argument) if tf.is_tensor(argument) else argument
