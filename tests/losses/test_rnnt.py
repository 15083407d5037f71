import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.errors import UserError
from int4_conformer.losses import rnnt_loss
from tests.losses.lattices import brute_force, forward_backward, of_batch, random_batch
from tests.support.examples import examples, heavy

VOCAB = 4


def compiled(jit_compile):
    """A function that gives losses, and the gradient of their sum, in a graph."""

    @functools.partial(tf.function, jit_compile=jit_compile, autograph=False)
    def run(logits, *rest):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = rnnt_loss(logits, *rest)
        return loss, tape.gradient(loss, logits)

    return run


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
    fast_emit=strategies.sampled_from([0.0, 0.01, 0.5]),
    label_smoothing=strategies.sampled_from([0.0, 0.1, 0.9]),
    seed=strategies.integers(0, 2**32 - 1),
)
@hypothesis.settings(deadline=None, max_examples=examples(10))
def test_it_is_the_sum_over_all_alignments(time, labels, seed, **options):
    batch = random_batch(8, time, labels, VOCAB, seed, options["blank_id"])
    loss, gradient = loss_and_gradient(*batch, **options)
    assert loss.dtype == np.float32
    expected, expected_gradient = of_batch(brute_force, *batch, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"fast_emit": 0.1, "label_smoothing": 0.2}])
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_long_lattices(scale, options):
    batch = random_batch(3, 60, 20, 11, scale=scale)
    batch[2][0], batch[3][0] = 60, 20
    loss, gradient = loss_and_gradient(*batch, **options)
    expected, expected_gradient = of_batch(forward_backward, *batch, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=3e-6)


def test_float32_is_enough_for_a_thousand_steps():
    batch = random_batch(1, 920, 80, 3, scale=1.0)
    batch[2][0], batch[3][0] = 920, 80
    loss, gradient = compiled(jit_compile=False)(*map(tf.constant, batch))
    expected, expected_gradient = of_batch(forward_backward, *batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=2e-5)


@pytest.mark.parametrize(
    ("time", "labels", "alignments"), [(1, 0, 1), (1, 3, 1), (5, 0, 1), (2, 1, 2), (4, 3, 20)]
)
def test_uniform_logits_count_the_alignments(time, labels, alignments):
    logits = np.zeros([1, time, labels + 1, VOCAB], np.float32)
    loss = rnnt_loss(logits, np.ones([1, labels], np.int32), np.int32([time]), np.int32([labels]))
    expected = (time + labels) * np.log(VOCAB) - np.log(alignments)
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)


@pytest.mark.parametrize("options", [{"blank_id": 2}, {"label_smoothing": 0.3}])
def test_its_gradient_is_that_of_finite_differences(options):
    logits, *rest = random_batch(3, 4, 3, seed=1, blank_id=options.get("blank_id", 0))
    weights = np.float32([1, -0.5, 2])
    _, gradient = loss_and_gradient(logits, *rest, weights=weights, **options)
    expected = np.zeros(logits.shape)
    for index in np.ndindex(*logits.shape):
        nudge = np.zeros(logits.shape)
        nudge[index] = 1e-5
        above, below = (
            np.dot(weights, of_batch(brute_force, logits + sign * nudge, *rest, **options)[0])
            for sign in (1, -1)
        )
        expected[index] = (above - below) / 2e-5
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_fast_emit_reports_the_loss_without_it():
    batch = random_batch(4, 6, 3)
    loss, plain = loss_and_gradient(*batch)
    same, gradient = loss_and_gradient(*batch, fast_emit=0.1)
    np.testing.assert_array_equal(same, loss)
    assert np.any(np.abs(gradient - plain) > 1e-3)


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
    cost, _ = of_batch(brute_force, logits / scale * 30, *rest)
    np.testing.assert_allclose(loss / scale, cost / 30, atol=0.3)


def test_what_no_alignment_can_emit_counts_for_nothing():
    logits, labels, logit_lengths, label_lengths = random_batch(5, 6, 3)
    logit_lengths[:], label_lengths[:] = 6, 3
    logit_lengths[0] = 7
    label_lengths[1] = 4
    logits[2, ..., labels[2, 1]] = -np.inf
    logits[3, ..., 0] = -np.inf
    loss, gradient = loss_and_gradient(logits, labels, logit_lengths, label_lengths)
    np.testing.assert_array_equal(loss[:4], 0)
    assert not np.any(gradient[:4])
    assert loss[4] > 0
    assert np.any(gradient[4])


def test_minus_infinity_rules_a_symbol_out():
    batch = random_batch(4, 5, 2)
    batch[1][:] = 1
    batch[0][..., 3] = -np.inf
    loss, gradient = loss_and_gradient(*batch)
    expected, expected_gradient = of_batch(brute_force, batch[0][..., :3], *batch[1:])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient[..., :3], expected_gradient, atol=1e-5)
    assert not np.any(gradient[..., 3])


def test_an_empty_transcript_is_its_blanks():
    logits, _, logit_lengths, _ = random_batch(3, 5, 0)
    loss = rnnt_loss(logits, np.zeros([3, 0], np.int32), logit_lengths, np.zeros(3, np.int32))
    blanks = tf.nn.log_softmax(logits)[:, :, 0, 0].numpy()
    expected = [-row[:length].sum() for row, length in zip(blanks, logit_lengths, strict=True)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_labels_of_padding_need_not_be_symbols():
    logits, labels, logit_lengths, label_lengths = random_batch(4, 5, 3)
    wild = np.where(
        np.arange(3) < label_lengths[:, None], labels, [[-1], [99], [VOCAB], [-(2**31)]]
    )
    expected = rnnt_loss(logits, labels, logit_lengths, label_lengths)
    found = rnnt_loss(logits, wild.astype(np.int32), logit_lengths, label_lengths)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blank_id": -1}, "`blank_id` must not be negative. Received: blank_id=-1"),
        ({"fast_emit": -0.1}, "`fast_emit` must not be negative. Received: fast_emit=-0.1"),
        ({"fast_emit": float("nan")}, "Received: fast_emit=nan"),
        ({"label_smoothing": 1.0}, r"must be in \[0, 1\). Received: label_smoothing=1.0"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(UserError, match=message):
        rnnt_loss(*random_batch(2, 4, 2), **options)


def test_refused_shapes():
    logits, labels, *lengths = random_batch(2, 4, 2)
    with pytest.raises(UserError, match=r"one more. Received: 1 labels, 3 columns"):
        rnnt_loss(logits, labels[:, :1], *lengths)


def test_bfloat16_logits_get_a_gradient_of_their_type():
    logits, *rest = random_batch(2, 4, 2)
    rounded = tf.cast(logits, tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(rounded)
        loss = rnnt_loss(rounded, *rest)
    assert loss.dtype == tf.float32
    assert tape.gradient(loss, rounded).dtype == tf.bfloat16


@pytest.mark.parametrize(
    ("jit_compile", "time", "labels"),
    [
        *[(False, 1, 0), (True, 5, 3)],
        *heavy((False, 5, 3), (False, 2, 4), (True, 1, 0), (True, 2, 4)),
    ],
)
def test_compiled_it_is_the_same(jit_compile, time, labels):
    batch = random_batch(3, time, labels)
    batch[2][0] = 0
    loss, gradient = loss_and_gradient(*batch)
    compiled_loss, compiled_gradient = compiled(jit_compile)(*map(tf.constant, batch))
    np.testing.assert_allclose(compiled_loss, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(compiled_gradient, gradient, atol=1e-5)


def test_descending_the_gradient_finds_the_labels():
    _, labels, *_ = random_batch(1, 4, 2)
    lengths = np.int32([4]), np.int32([2])
    logits = tf.Variable(tf.zeros([1, 4, 3, VOCAB]))

    @tf.function
    def descend():
        with tf.GradientTape() as tape:
            loss = rnnt_loss(logits, labels, *lengths)
        logits.assign_sub(tape.gradient(loss, logits))
        return loss

    for _ in range(100):
        loss = descend()
    assert loss < 0.1
