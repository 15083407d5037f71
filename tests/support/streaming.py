"""Streaming against whole utterances: what every layer and model with a `step` passes.

lingvo's `stream_step_test_base.py` is the example. A layer whose `call`, `initial_state` and `step`
take what `Streamed` says is one as it is; blocks, which are given `Frames`, become one by
`of_block`, and others by a `Streamed` of functions.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers.frames import Span
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.products import trained

SEGMENTS = (1, 3, 8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streamed:
    """What is given whole utterances or segments of them."""

    # inputs [batch, time * stack, ...], mask bool [batch, time] -> outputs [batch, time', ...],
    # where time' may be a whole part of the time.
    whole: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    # batch -> state.
    initial_state: Callable[[int], State]
    # inputs, mask, state -> outputs, state.
    step: Callable[[tf.Tensor, tf.Tensor, State], tuple[tf.Tensor, State]]
    # The time is a multiple of it.
    unit: int = 1


def of_layer(layer: Any, unit: int = 1) -> Streamed:
    """A layer that takes a mask and no `Frames`: a convolution module, an encoder."""
    return Streamed(whole=layer, initial_state=layer.initial_state, step=layer.step, unit=unit)


def of_unmasked(layer: Any) -> Streamed:
    """A layer that takes no mask: a front end."""
    return Streamed(
        whole=lambda x, _: layer(x),
        initial_state=layer.initial_state,
        step=lambda x, _, state: layer.step(x, state),
    )


def of_block(block: Any, span: Span) -> Streamed:
    """A layer that takes `Frames`: attention, or a block of an encoder."""

    def initial_state(batch: int) -> State:
        state = block.initial_state(batch, span.left_context)
        return named("span", span.initial_state(batch)) | named("block", state)

    def step(x: tf.Tensor, mask: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        frames, span_state = span.step(x, mask, of_part(state, "span"))
        y, block_state = block.step(x, frames, of_part(state, "block"))
        return y, named("span", span_state) | named("block", block_state)

    return Streamed(
        whole=lambda x, mask: block(x, frames=span.whole(x, mask)),
        initial_state=initial_state,
        step=step,
        unit=span.chunk,
    )


def noise(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_streams(streamed: Streamed, x: np.ndarray, lengths: Sequence[int]) -> None:
    """The outputs of utterances are the same whole and in segments, one by one and as a batch.

    Args:
        streamed: what makes them, in float32.
        x: inputs [batch, max(lengths) * stack, ...].
        lengths: of the utterances, as the mask counts them.
    """
    for batch in (1, len(lengths)):
        utterances, mask = _masked(x[:batch], lengths[:batch], streamed.unit)
        whole = streamed.whole(utterances, mask)
        for segment in SEGMENTS:
            segments = stream(streamed, x[:batch], lengths[:batch], segment)
            assert_same(whole, segments, lengths[:batch], mask.shape[1])


def assert_same(whole: Any, segments: Any, lengths: Sequence[int], time: int, atol=1e-5) -> None:
    """The outputs of all real frames are; `time` is that of the mask of the whole."""
    reduction = time // whole.shape[1]
    for row, length in enumerate(lengths):
        frames = -(-length // reduction)
        np.testing.assert_allclose(segments[row, :frames], whole[row, :frames], rtol=0, atol=atol)


def code_differences(streamed: Streamed, x: np.ndarray, time: int, segment: int) -> tuple[int, int]:
    """How many codes of a quantized layer's activations differ in segments, and of how many.

    Sums of floats come in another order in segments, which may move a value across a rounding
    boundary. A code that differs is counted where this happens, and then taken from the whole
    utterance: all codes behind it would differ for its sake. The outputs are then those of the
    whole utterance within the errors of floats, and no code is further off than its neighbour.

    Args:
        streamed: what makes the outputs, run eagerly.
        x: inputs [batch, time * stack, ...].
        time: frames of every utterance, a multiple of those of a segment.
        segment: units of a segment.
    """
    calls: list[QTensor] = []

    def record(rows: QTensor) -> QTensor:
        calls.append(rows)
        return rows

    batch, lengths = len(x), [time] * len(x)
    with _quantizer(record):
        whole = streamed.whole(*_masked(x, lengths, 1))
    turns, done, differences = itertools.count(), [0] * len(calls), []

    def compare(rows: QTensor) -> QTensor:
        call = next(turns) % len(calls)
        start, done[call] = done[call], done[call] + rows.codes.shape[0] // batch
        expected = _rows_between(calls[call], batch, start, done[call])
        one, other = (np.int32(codes) for codes in (rows.codes, expected.codes))
        differences.append(np.abs(one - other).ravel())
        return expected

    with _quantizer(compare):
        segments = stream(streamed, x, lengths, segment)
    assert done == [rows.codes.shape[0] // batch for rows in calls]
    assert_same(whole, segments, lengths, time)
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


def stream(streamed: Streamed, x: np.ndarray, lengths: Sequence[int], segment: int) -> np.ndarray:
    """The outputs of segments of so many units, behind one another.

    The last one is padded. No step changes the names, shapes and dtypes of the state.
    """
    size = segment * streamed.unit
    x, mask = _masked(x, lengths, size)
    stack = x.shape[1] // mask.shape[1]
    state, outputs = streamed.initial_state(len(x)), []
    specs = _specs(state)
    for start in range(0, mask.shape[1], size):
        inputs = x[:, start * stack : (start + size) * stack]
        y, state = streamed.step(inputs, mask[:, start : start + size], state)
        assert _specs(state) == specs
        outputs.append(y)
    return np.concatenate(outputs, axis=1)


def _specs(state: State) -> dict[str, Any]:
    return {name: (tuple(value.shape), value.dtype) for name, value in state.items()}


def _masked(x: np.ndarray, lengths: Sequence[int], multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Inputs padded to a multiple of so many frames, and their mask.

    What is past the end of an utterance differs from padding to padding.
    """
    longest = max(lengths)
    stack = x.shape[1] // longest
    time = -(-longest // multiple) * multiple
    padded = noise([len(x), time * stack, *x.shape[2:]], seed=time + multiple)
    for row, length in enumerate(lengths):
        padded[row, : length * stack] = x[row, : length * stack]
    mask = np.arange(time) < np.array(lengths)[:, None]
    return tf.constant(padded), tf.constant(mask)
