"""How fast each backend of the integer product is on this machine."""

import dataclasses
import statistics
import time

import numpy as np
import tensorflow as tf

from int4_conformer.quant.products.matmul import automatic, int_matmul, onednn_available
from int4_conformer.quant.spec.quant_config import Backend
from int4_conformer.xla import without_xla

# Bound of 4-bit codes.
_LIMIT = 7
_ROUNDS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendTimes:
    """Of a product of [rows, width] by [width, columns], 8 bits by 4."""

    # Median by backend, those that this TensorFlow and CPU have.
    milliseconds: dict[Backend, float]
    # What `auto` takes, by the table that comes with the package: in a step that XLA compiles, and
    # in one that it does not.
    with_xla: Backend
    without_xla: Backend


def backend_times(rows: int, width: int, columns: int) -> BackendTimes:
    """Runs each backend some times.

    Example:

        >>> sorted(backend_times(2, 8, 4).milliseconds)[:2]
        ['exact_float', 'native']
    """
    random = np.random.default_rng(0)
    a = tf.constant(random.integers(-128, 128, [rows, width], np.int8))
    b = tf.constant(random.integers(-_LIMIT, _LIMIT + 1, [width, columns], np.int8))
    backends: list[Backend] = ["native", "xla", "exact_float"]
    if onednn_available():
        backends.append("onednn")
    with tf.Graph().as_default():
        with_xla = automatic(a.shape, width, columns, _LIMIT)
        with without_xla():
            by_itself = automatic(a.shape, width, columns, _LIMIT)
    return BackendTimes(
        milliseconds={backend: _milliseconds(a, b, backend) for backend in backends},
        with_xla=with_xla,
        without_xla=by_itself,
    )


def _milliseconds(a: tf.Tensor, b: tf.Tensor, backend: Backend) -> float:
    product = tf.function(lambda a, b: int_matmul(a, b, b_limit=_LIMIT, backend=backend))
    times = []
    for _ in range(_ROUNDS + 1):
        begun = time.perf_counter()
        # Reading it waits for it, on any device.
        product(a, b).numpy()
        times.append(1000 * (time.perf_counter() - begun))
    # The first traces and compiles.
    return statistics.median(times[1:])
