import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.losses import rnnt_loss

VOCAB = 4


def random_batch(batch, time, labels, seed=0, blank_id=0, scale=2.0):
    """Logits, labels (never the blank) and random lengths, no row of padding."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal([batch, time, labels + 1, VOCAB])
    symbols = np.setdiff1d(np.arange(VOCAB), [blank_id])
    return (
        logits.astype(np.float32),
        rng.choice(symbols, [batch, labels]).astype(np.int32),
        rng.integers(1, time + 1, [batch]).astype(np.int32),
        rng.integers(0, labels + 1, [batch]).astype(np.int32),
    )


def brute_force(logits, labels, blank_id=0):
    """The loss of one utterance without padding, float64: all alignments, one after another."""
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    time, label_count = logits.shape[0], len(labels)

    def alignments(t, u):
        """Log-probability of each alignment from point (t, u) on."""
        blank = log_probabilities[t, u, blank_id]
        if t == time - 1 and u == label_count:
            yield blank
        if t < time - 1:
            yield from (blank + rest for rest in alignments(t + 1, u))
        if u < label_count:
            label = log_probabilities[t, u, labels[u]]
            yield from (label + rest for rest in alignments(t, u + 1))

    return -np.log(np.sum(np.exp(list(alignments(0, 0)))))


def brute_force_batch(logits, labels, logit_lengths, label_lengths, blank_id=0):
    return [
        brute_force(row[:time, : count + 1], symbols[:count], blank_id)
        for row, symbols, time, count in zip(
            logits, labels, logit_lengths, label_lengths, strict=True
        )
    ]


def loss_and_gradient(logits, *arguments, weights=1.0, **options):
    logits = tf.convert_to_tensor(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = rnnt_loss(logits, *arguments, **options)
        total = tf.reduce_sum(weights * loss)
    return loss.numpy(), tape.gradient(total, logits).numpy()


@hypothesis.given(
    time=strategies.integers(1, 5),
    labels=strategies.integers(0, 4),
    blank_id=strategies.integers(0, VOCAB - 1),
    seed=strategies.integers(0, 2**32 - 1),
)
@hypothesis.settings(deadline=None, max_examples=40)
def test_it_is_the_sum_over_all_alignments(time, labels, blank_id, seed):
    batch = random_batch(3, time, labels, seed, blank_id)
    loss = rnnt_loss(*batch, blank_id=blank_id)
    assert loss.dtype == tf.float32
    expected = brute_force_batch(*batch, blank_id=blank_id)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("time", "labels", "alignments"), [(1, 0, 1), (1, 3, 1), (5, 0, 1), (2, 1, 2), (4, 3, 20)]
)
def test_uniform_logits_count_the_alignments(time, labels, alignments):
    logits = np.zeros([1, time, labels + 1, VOCAB], np.float32)
    loss = rnnt_loss(logits, np.ones([1, labels], np.int32), np.int32([time]), np.int32([labels]))
    expected = (time + labels) * np.log(VOCAB) - np.log(alignments)
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)


@pytest.mark.parametrize("blank_id", [0, 2])
def test_its_gradient_is_that_of_finite_differences(blank_id):
    logits, *rest = random_batch(3, 4, 3, seed=1, blank_id=blank_id)
    weights = np.float32([1, -0.5, 2])
    _, gradient = loss_and_gradient(logits, *rest, weights=weights, blank_id=blank_id)
    expected = np.zeros(logits.shape)
    for index in np.ndindex(*logits.shape):
        nudge = np.zeros(logits.shape)
        nudge[index] = 1e-5
        above, below = (
            np.dot(weights, brute_force_batch(logits + sign * nudge, *rest, blank_id=blank_id))
            for sign in (1, -1)
        )
        expected[index] = (above - below) / 2e-5
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_each_alignment_step_moves_probability_and_makes_none():
    _, gradient = loss_and_gradient(*random_batch(4, 6, 3))
    np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-5)


def test_padding_changes_nothing():
    logits, labels, *lengths = random_batch(4, 5, 3)
    loss, gradient = loss_and_gradient(logits, labels, *lengths)
    rng = np.random.default_rng(1)
    padded = 1e4 * rng.standard_normal([4, 8, 6, VOCAB]).astype(np.float32)
    for row, (time, count) in enumerate(zip(*lengths, strict=True)):
        padded[row, :time, : count + 1] = logits[row, :time, : count + 1]
    padded_labels = rng.integers(0, VOCAB, [4, 5]).astype(np.int32)
    padded_labels[:, :3] = np.where(np.arange(3) < lengths[1][:, None], labels, 3)
    padded_loss, padded_gradient = loss_and_gradient(padded, padded_labels, *lengths)
    np.testing.assert_allclose(padded_loss, loss, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(padded_gradient[:, :5, :4], gradient, atol=1e-6)
    for row, (time, count) in enumerate(zip(*lengths, strict=True)):
        assert not np.any(padded_gradient[row, time:])
        assert not np.any(padded_gradient[row, :, count + 1 :])


def test_rows_of_padding_cost_nothing():
    logits, labels, logit_lengths, label_lengths = random_batch(4, 5, 3)
    loss, gradient = loss_and_gradient(logits, labels, logit_lengths, label_lengths)
    logit_lengths[1] = 0
    label_lengths[1] = 0
    rest = [0, 2, 3]
    without, without_gradient = loss_and_gradient(logits, labels, logit_lengths, label_lengths)
    assert without[1] == 0
    assert not np.any(without_gradient[1])
    np.testing.assert_array_equal(without[rest], loss[rest])
    np.testing.assert_array_equal(without_gradient[rest], gradient[rest])


@pytest.mark.parametrize("scale", [1e4, 1e5])
def test_extreme_logits_give_no_nan(scale):
    rng = np.random.default_rng(0)
    logits = scale * rng.choice([-1.0, 1.0], [8, 6, 4, VOCAB]).astype(np.float32)
    _, *rest = random_batch(8, 6, 3)
    loss, gradient = loss_and_gradient(logits, *rest)
    assert np.all(np.isfinite(loss))
    assert np.all(np.isfinite(gradient))
    assert np.all(np.abs(gradient) <= 1.01)
    # The cheapest alignment decides; ties between alignments are small against the scale.
    cost = brute_force_batch(logits / scale * 30, *rest)
    np.testing.assert_allclose(loss / scale, np.array(cost) / 30, atol=0.3)


def test_bfloat16_logits_get_a_gradient_of_their_type():
    logits, *rest = random_batch(2, 4, 2)
    rounded = tf.cast(logits, tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(rounded)
        loss = rnnt_loss(rounded, *rest)
    assert loss.dtype == tf.float32
    assert tape.gradient(loss, rounded).dtype == tf.bfloat16


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(("time", "labels"), [(1, 0), (5, 3), (2, 4)])
def test_compiled_it_is_the_same(jit_compile, time, labels):
    batch = random_batch(3, time, labels)
    batch[2][0] = 0

    @functools.partial(tf.function, jit_compile=jit_compile)
    def compiled(logits, *rest):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = rnnt_loss(logits, *rest)
        return loss, tape.gradient(loss, logits)

    loss, gradient = loss_and_gradient(*batch)
    compiled_loss, compiled_gradient = compiled(*map(tf.constant, batch))
    np.testing.assert_allclose(compiled_loss, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(compiled_gradient, gradient, atol=1e-5)


def test_descending_the_gradient_finds_the_labels():
    _, labels, *_ = random_batch(1, 4, 2)
    lengths = np.int32([4]), np.int32([2])
    logits = np.zeros([1, 4, 3, VOCAB], np.float32)
    for _ in range(100):
        loss, gradient = loss_and_gradient(logits, labels, *lengths)
        logits -= gradient
    assert loss < 0.1
