"""Streaming in integers: whether segments have the codes of whole utterances.

That they have the same outputs, up to the rounding of floats, `verify_steppable` checks.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers.steppable import Steppable
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.products import trained
from int4_conformer.steppable_contract import run_segments

# Options of `verify_steppable` for a layer like another that is checked in full.
SEGMENTS_ALONE = {"saves": False, "compiles": False, "exports": False}


def noise(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def code_differences(layer: Steppable, x: np.ndarray, time: int, size: int) -> tuple[int, int]:
    """How many codes of a quantized layer's activations differ in segments, and of how many.

    Sums of floats come in another order in segments, which may move a value across a rounding
    boundary. A code that differs is counted where this happens, and then taken from the whole
    utterance: all codes behind it would differ for its sake. The outputs are then those of the
    whole utterance within the errors of floats, and no code is further off than its neighbour.

    Args:
        layer: run eagerly.
        x: inputs [batch, time * stack, ...].
        time: frames of every utterance, a multiple of those of a segment.
        size: units of a segment, as in `run_segments`.
    """
    calls: list[QTensor] = []

    def record(rows: QTensor) -> QTensor:
        calls.append(rows)
        return rows

    batch = len(x)
    with _quantizer(record):
        mask = tf.ones([batch, time], tf.bool)
        whole = layer.advance(tf.constant(x), mask, None, training=False)[0]
    turns, done, differences = itertools.count(), [0] * len(calls), []

    def compare(rows: QTensor) -> QTensor:
        call = next(turns) % len(calls)
        start, done[call] = done[call], done[call] + rows.codes.shape[0] // batch
        expected = _rows_between(calls[call], batch, start, done[call])
        one, other = (np.int32(codes) for codes in (rows.codes, expected.codes))
        differences.append(np.abs(one - other).ravel())
        return expected

    with _quantizer(compare):
        segments = run_segments(layer.step, layer, x, [time] * batch, size)
    assert done == [rows.codes.shape[0] // batch for rows in calls]
    np.testing.assert_allclose(segments, whole, rtol=0, atol=1e-5)
    differences = np.concatenate(differences)
    assert differences.max() <= 1
    return int(differences.sum()), differences.size


@contextlib.contextmanager
def _quantizer(replace: Callable[[QTensor], QTensor]) -> Iterator[None]:
    """Gives products other rows than those that their activations are quantized to."""
    quantize_rows = trained.quantize_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "quantize_rows", lambda *a, **k: replace(quantize_rows(*a, **k)))
        yield


def _rows_between(rows: QTensor, batch: int, start: int, end: int) -> QTensor:
    """Some rows of each utterance of a batch."""

    def part(x: tf.Tensor | None) -> tf.Tensor | None:
        if x is None:
            return None
        return tf.reshape(tf.reshape(x, [batch, -1, x.shape[1]])[:, start:end], [-1, x.shape[1]])

    return dataclasses.replace(
        rows, codes=part(rows.codes), scale=part(rows.scale), zero_point=part(rows.zero_point)
    )
