"""Ways to run what is traced and compiled otherwise.

A step of a tiny model takes less time op by op than TensorFlow takes to trace it, and far less
than XLA takes to compile it.
"""

import contextlib
import warnings
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Within this context, `tf.function`s run op by op."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # Functions of tf.data stay graphs, which it warns of.
            warnings.filterwarnings("ignore", "Even though the .*run_functions_eagerly")
            yield
    finally:
        tf.config.run_functions_eagerly(False)
