"""Timing several functions in turn, so that ratios hold when the machine's speed drifts."""

import statistics
import time
from collections.abc import Callable, Mapping

import tensorflow as tf


def milliseconds(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each function over `rounds` rounds, after two rounds to warm up.

    Each round runs every function once, and waits for its result.
    """
    # A call on the CPU returns when it is done; asking whether it is takes half a millisecond.
    wait = tf.test.experimental.sync_devices if tf.config.list_physical_devices("GPU") else _nothing
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_index in range(rounds + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            wait()
            if round_index >= 2:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def _nothing() -> None:
    pass
