import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.errors import UserError
from int4_conformer.losses import collapsed_lattice, joint_distillation_loss
from tests.losses.test_joint_rnnt import VOCAB, gradients_of, joint, random_inputs, sizes_in
from tests.support.examples import examples

REST = 2


def collapse(logits, symbol, blank_id):
    """Probabilities of blank, label and the rest, in float64; no symbol: no label."""
    p = np.exp(logits - np.logaddexp.reduce(logits))
    label = 0.0 if symbol is None else p[symbol]
    return np.array([p[blank_id], label, 1.0 - p[blank_id] - label])


def divergence(student, teacher, labels, blank_id=0):
    """The loss of an utterance without padding and its gradient by the student's logits, point by
    point, one derivative after the other."""
    time, prefixes, vocab = student.shape
    total, gradient = 0.0, np.zeros(student.shape)
    for t in range(time):
        for u in range(prefixes):
            symbol = labels[u] if u < len(labels) else None
            wanted = collapse(teacher[t, u], symbol, blank_id)

            def at(logits, symbol=symbol, wanted=wanted):
                found = collapse(logits, symbol, blank_id)
                kept = wanted > 1e-15
                return np.sum(wanted[kept] * np.log(wanted[kept] / found[kept]))

            total += at(student[t, u])
            for v in range(vocab):
                up, down = (student[t, u] + sign * 1e-5 * np.eye(vocab)[v] for sign in (1, -1))
                gradient[t, u, v] = (at(up) - at(down)) / 2e-5
    return total / prefixes, gradient / prefixes


def logits_of(sources):
    frames, predicted, *operands = sources
    return joint(frames[:, :, None], predicted[:, None], *operands)


def taught(sources, teacher_sources, rest, **options):
    """The tiled loss, of a teacher that is such a joint, too."""
    frames, predicted, *operands = teacher_sources
    teacher = collapsed_lattice(
        joint, frames, predicted, operands, *rest, vocab_size=VOCAB, **options
    )
    frames, predicted, *operands = sources
    return joint_distillation_loss(
        joint, frames, predicted, operands, *rest, teacher, vocab_size=VOCAB, **options
    )


def by_hand(sources, teacher_sources, rest, blank_id=0):
    """Losses, and the gradients of all sources, of `gradients_of`'s weighted sum."""
    labels, frame_lengths, label_lengths = (x.numpy() for x in rest)
    teacher = logits_of(teacher_sources).numpy().astype(np.float64)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        logits = logits_of(sources)
    losses, d_logits = np.zeros(len(labels)), np.zeros(logits.shape)
    for row, (time, count) in enumerate(zip(frame_lengths, label_lengths, strict=True)):
        real = np.s_[row, :time, : count + 1]
        student = logits.numpy().astype(np.float64)[real]
        losses[row], gradient = divergence(student, teacher[real], labels[row, :count], blank_id)
        d_logits[real] = gradient * (row + 1)
    gradients = tape.gradient(logits, sources, output_gradients=tf.cast(d_logits, tf.float32))
    return [losses, *gradients]


@hypothesis.given(
    time=strategies.integers(1, 20),
    labels=strategies.integers(0, 10),
    points=strategies.sampled_from([1, 50, 2**20]),
    blank_id=strategies.sampled_from([0, 3]),
    seed=strategies.integers(0, 2**32 - 1),
)
@hypothesis.settings(deadline=None, max_examples=examples(5))
def test_it_is_the_divergence_point_by_point(time, labels, points, blank_id, seed):
    sources, rest = random_inputs(2, time, labels, seed)
    # Never the blank, whichever it is.
    rest[0] = tf.where(rest[0] == blank_id, blank_id + 1, rest[0])
    teacher, _ = random_inputs(2, time, labels, seed + 1)
    options = {"blank_id": blank_id, "logits_at_once": points * VOCAB}
    found = gradients_of(lambda x: taught(x, teacher, rest, **options), sources)
    expected = by_hand(sources, teacher, rest, blank_id)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(y).max() + 1e-7)


def test_a_teacher_of_the_same_mind_teaches_nothing():
    sources, rest = random_inputs(3, 30, 9)
    losses, *gradients = gradients_of(lambda x: taught(x, sources, rest), sources)
    np.testing.assert_allclose(losses, 0, atol=1e-5)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_padding_counts_for_nothing():
    sources, (labels, frame_lengths, label_lengths) = random_inputs(4, 20, 9)
    teacher, _ = random_inputs(4, 20, 9, seed=1)
    rest = [labels, frame_lengths * [1, 0, 1, 1], label_lengths]
    losses, d_frames, d_predicted, *_ = gradients_of(lambda x: taught(x, teacher, rest), sources)
    assert losses[1] == 0
    for row, (time, count) in enumerate(zip(*rest[1:], strict=True)):
        assert not np.any(d_frames[row, time:])
        assert not np.any(d_predicted[row, count + 1 :])
    assert np.any(d_frames[0])


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_compiled_it_is_the_same(jit_compile):
    sources, rest = random_inputs(3, 37, 19)
    teacher, _ = random_inputs(3, 37, 19, seed=1)

    def loss(x):
        return taught(x, teacher, rest, logits_at_once=300 * VOCAB)

    compiled = tf.function(
        lambda x: gradients_of(loss, x), jit_compile=jit_compile, autograph=False
    )
    for x, y in zip(compiled(sources), gradients_of(loss, sources), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * np.abs(y).max())


@pytest.mark.parametrize("scale", [1e3, 1e5])
def test_extreme_logits_give_no_nan(scale):
    sources, rest = random_inputs(4, 20, 9)
    teacher, _ = random_inputs(4, 20, 9, seed=1)
    sources[2] *= scale
    teacher[2] *= scale
    for x in gradients_of(lambda x: taught(x, teacher, rest), sources):
        assert np.all(np.isfinite(x))


def test_two_symbols_leave_no_rest():
    rng = np.random.default_rng(0)
    frames, predicted = (tf.constant(rng.standard_normal([1, 2, 2]), tf.float32) for _ in range(2))
    rest = tf.constant([[1]]), tf.constant([2]), tf.constant([1])
    found = collapsed_lattice(lambda f, g: f + g, frames, predicted, (), *rest, vocab_size=2)
    expected = tf.nn.log_softmax(frames[:, :, None] + predicted[:, None])
    np.testing.assert_allclose(found[0], expected[..., 0], rtol=1e-5)
    np.testing.assert_allclose(found[1, :, :, 0], expected[:, :, 0, 1], rtol=1e-5)
    assert np.all(found[REST, :, :, 0] < -1e20)


def test_the_lattice_of_logits_is_never_held():
    sources, rest = random_inputs(4, 160, 79)
    loss = functools.partial(taught, teacher_sources=sources, rest=rest, logits_at_once=128 * VOCAB)
    step = tf.function(lambda x: gradients_of(loss, x), autograph=False)
    largest = max(size for _, size in sizes_in(step.get_concrete_function(sources).graph))
    assert largest <= 4 * (4 * 160 * 80)


def test_refused_shapes():
    sources, (labels, *lengths) = random_inputs(2, 4, 2)
    with pytest.raises(UserError, match=r"one more. Received: 1 labels, 3 columns"):
        taught(sources, sources, [labels[:, :1], *lengths])
