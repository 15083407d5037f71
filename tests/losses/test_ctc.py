import itertools
import timeit

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.losses import ctc_loss
from tests.support.examples import heavy

VOCAB = 4


def loss_and_gradient(logits, *rest, **options):
    logits = tf.convert_to_tensor(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ctc_loss(logits, *rest, **options)
    return loss, tape.gradient(loss, logits)


def brute_force(logits, labels, blank_id):
    """Of all ways to write the frames, those that read as the labels."""
    time, vocab = logits.shape
    log_softmax = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    costs = [
        sum(log_softmax[range(time), path])
        for path in itertools.product(range(vocab), repeat=time)
        if [y for y, _ in itertools.groupby(path) if y != blank_id] == list(labels)
    ]
    # Where no path does, the loss is 0 by definition.
    return -np.logaddexp.reduce(costs) if costs else 0.0


def random_batch(blank_id=0, batch=12, time=5, labels=3):
    rng = np.random.default_rng(0)
    symbols = np.setdiff1d(np.arange(VOCAB), [blank_id])[:2]
    return (
        rng.standard_normal([batch, time, VOCAB]).astype(np.float32),
        rng.choice(symbols, [batch, labels]).astype(np.int32),
        rng.integers(1, time + 1, [batch]).astype(np.int32),
        rng.integers(0, labels + 1, [batch]).astype(np.int32),
    )


@pytest.mark.parametrize("blank_id", [0, 2])
@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_it_is_the_sum_over_all_alignments(jit_compile, blank_id):
    batch = random_batch(blank_id)
    expected = [
        brute_force(row[:time], symbols[:count], blank_id)
        for row, symbols, time, count in zip(*batch, strict=True)
    ]
    # Some have too few frames, also for a blank between equal labels.
    assert 0.0 in expected

    def run(*batch):
        return loss_and_gradient(*batch, blank_id=blank_id)

    run = run if jit_compile is None else tf.function(run, jit_compile=jit_compile, autograph=False)
    loss, gradient = run(*map(tf.constant, batch))
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    assert np.all(np.isfinite(gradient))
    for row, (value, time) in enumerate(zip(expected, batch[2], strict=True)):
        assert np.any(gradient[row]) == (value != 0)
        assert not np.any(gradient[row, time:])


def by_frames(logits, labels):
    """The sum over all alignments in float64, frame by frame; the blank is 0."""
    log_softmax = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True, dtype=np.float64)
    symbols = np.pad(np.stack([0 * labels, labels], axis=1).ravel(), [0, 1])
    # Two states stand before the first: it all begins in the second of them.
    alpha = np.full(len(symbols) + 2, -np.inf)
    alpha[1] = 0.0
    for frame in log_softmax:
        before, alpha = alpha, np.full_like(alpha, -np.inf)
        for state, symbol in enumerate(symbols):
            skips = symbol != 0 and (state < 2 or symbol != symbols[state - 2])
            ways = before[state + (0 if skips else 1) : state + 3]
            alpha[state + 2] = np.logaddexp.reduce(ways) + frame[symbol]
    return -np.logaddexp(alpha[-1], alpha[-2] if len(labels) else -np.inf)


@pytest.mark.parametrize("scale", [1.0, *heavy(20.0)])
def test_long_utterances(scale):
    rng = np.random.default_rng(1)
    logits = (scale * rng.standard_normal([3, 300, 30])).astype(np.float32)
    labels = rng.integers(1, 30, [3, 90]).astype(np.int32)
    lengths = np.int32([300, 233, 250]), np.int32([90, 70, 0])
    loss, gradient = loss_and_gradient(logits, labels, *lengths)
    rows = zip(logits, labels, *lengths, strict=True)
    expected = [by_frames(row[:time], symbols[:count]) for row, symbols, time, count in rows]
    np.testing.assert_allclose(loss, expected, rtol=2e-6)
    if scale == 1.0:
        x = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(x)
            theirs = tf.nn.ctc_loss(
                labels, x, *lengths[::-1], logits_time_major=False, blank_index=0
            )
        np.testing.assert_allclose(gradient, tape.gradient(theirs, x), atol=2e-5)


def test_xla_compiles_it_once_for_all_lengths():
    logits, labels, *lengths = random_batch()
    step = tf.function(loss_and_gradient, jit_compile=True, autograph=False)
    first, *others = (
        timeit.timeit(
            lambda n=n: step(logits, labels, *(tf.constant(np.maximum(x - n, 0)) for x in lengths)),
            number=1,
        )
        for n in range(4)
    )
    assert max(others) < first / 4


def test_rows_of_padding_cost_nothing():
    logits, labels, logit_lengths, label_lengths = random_batch()
    logit_lengths[:4] = 0
    loss, gradient = loss_and_gradient(logits, labels, logit_lengths, label_lengths)
    np.testing.assert_array_equal(loss[:4], 0)
    assert not np.any(gradient[:4])


def test_labels_of_padding_need_not_be_symbols():
    logits, labels, logit_lengths, label_lengths = random_batch()
    wild = np.where(np.arange(3) < label_lengths[:, None], labels, -7).astype(np.int32)
    expected = ctc_loss(logits, labels, logit_lengths, label_lengths)
    found = ctc_loss(logits, wild, logit_lengths, label_lengths)
    np.testing.assert_array_equal(found, expected)


def test_bfloat16_logits():
    logits, *rest = random_batch()
    rounded = tf.cast(logits, tf.bfloat16)
    loss, gradient = loss_and_gradient(rounded, *rest)
    assert (loss.dtype, gradient.dtype) == (tf.float32, tf.bfloat16)
    np.testing.assert_allclose(loss, ctc_loss(tf.cast(rounded, tf.float32), *rest), rtol=1e-6)


def test_nothing_is_complained_of_when_it_is_traced_for_several_shapes(capfd):
    step = tf.function(loss_and_gradient, autograph=False)
    for batch, time, labels in ((4, 20, 5), (6, 12, 3)):
        step(
            tf.zeros([batch, time, 10]),
            tf.ones([batch, labels], tf.int32),
            tf.fill([batch], time),
            tf.fill([batch], labels),
        )
    assert "not compatible" not in capfd.readouterr().err
