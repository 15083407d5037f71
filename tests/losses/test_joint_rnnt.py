import functools
import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.errors import UserError
from int4_conformer.losses import joint_rnnt_loss, rnnt_loss
from tests.losses.lattices import brute_force, of_batch, random_batch
from tests.support.examples import examples, heavy

DIM = 6
VOCAB = 11


def joint(frames, predicted, kernel, bias):
    return tf.tensordot(tf.tanh(frames + predicted), kernel, 1) + bias


def random_inputs(batch, time, labels, seed=0, dtype=tf.float32):
    """Frames, predictions, kernel, bias; labels and lengths."""
    rng = np.random.default_rng(seed)
    shapes = [batch, time, DIM], [batch, labels + 1, DIM], [DIM, VOCAB], [VOCAB]
    _, *rest = random_batch(batch, time, labels, VOCAB, seed)
    sources = [tf.cast(rng.standard_normal(shape), dtype) for shape in shapes]
    return sources, [tf.constant(x) for x in rest]


def gradients_of(loss, sources, *rest):
    """Losses, and the gradients of all sources of a weighted sum of them."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        losses = loss(sources, *rest)
        total = tf.reduce_sum(losses * tf.range(1.0, 1.0 + losses.shape[0]))
    return [losses, *tape.gradient(total, sources)]


def dense(sources, *rest, **options):
    frames, predicted, *operands = sources
    return rnnt_loss(joint(frames[:, :, None], predicted[:, None], *operands), *rest, **options)


def tiled(sources, *rest, **options):
    frames, predicted, *operands = sources
    return joint_rnnt_loss(joint, frames, predicted, operands, *rest, vocab_size=VOCAB, **options)


def assert_same(found, expected, tolerance=1e-5):
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype
        x, y = (tf.cast(z, tf.float32).numpy() for z in (x, y))
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * np.abs(y).max())


@hypothesis.given(
    time=strategies.integers(1, 40),
    labels=strategies.integers(0, 25),
    points=strategies.sampled_from([1, 50, 200, 1000, 2**20]),
    rare=strategies.sampled_from([-1.0, 1e-9]),
    fast_emit=strategies.sampled_from([0.0, 0.5]),
    label_smoothing=strategies.sampled_from([0.0, 0.2]),
    blank_id=strategies.sampled_from([0, 3]),
    seed=strategies.integers(0, 2**32 - 1),
)
@hypothesis.settings(deadline=None, max_examples=examples(5))
def test_it_is_the_loss_of_the_whole_lattice(time, labels, points, rare, seed, **options):
    sources, rest = random_inputs(3, time, labels, seed)
    tiles = {"rare": rare, "logits_at_once": points * VOCAB}
    found = gradients_of(functools.partial(tiled, **options, **tiles), sources, *rest)
    expected = gradients_of(functools.partial(dense, **options), sources, *rest)
    assert_same(found, expected)


def test_it_is_the_sum_over_all_alignments():
    for seed in range(20):
        sources, rest = random_inputs(8, 5, 4, seed)
        logits = joint(sources[0][:, :, None], sources[1][:, None], *sources[2:])
        expected, _ = of_batch(brute_force, logits.numpy(), *(x.numpy() for x in rest))
        np.testing.assert_allclose(tiled(sources, *rest), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("jit_compile", "time", "labels"),
    [(False, 1, 0), (True, 37, 19), *heavy((False, 37, 19), (True, 1, 0))],
)
def test_compiled_it_is_the_same(jit_compile, time, labels):
    sources, rest = random_inputs(4, time, labels)
    rest[1] = rest[1] * [1, 1, 0, 1]
    loss = functools.partial(tiled, logits_at_once=300 * VOCAB)
    compiled = tf.function(
        functools.partial(gradients_of, loss), jit_compile=jit_compile, autograph=False
    )
    assert_same(compiled(sources, *rest), gradients_of(dense, sources, *rest))


def test_padding_changes_nothing():
    sources, (labels, *lengths) = random_inputs(4, 20, 9)
    frames, predicted, *operands = sources
    more = [
        tf.pad(frames, [[0, 0], [0, 30], [0, 0]], constant_values=7.0),
        tf.pad(predicted, [[0, 0], [0, 12], [0, 0]], constant_values=-7.0),
        *operands,
    ]
    padded_labels = tf.pad(labels, [[0, 0], [0, 12]], constant_values=-1)
    loss = functools.partial(tiled, logits_at_once=300 * VOCAB)
    expected = gradients_of(loss, sources, labels, *lengths)
    losses, d_frames, d_predicted, *rest = gradients_of(loss, more, padded_labels, *lengths)
    assert_same([losses, d_frames[:, :20], d_predicted[:, :10], *rest], expected)
    assert not np.any(d_frames[:, 20:])
    assert not np.any(d_predicted[:, 10:])
    for row, (time, count) in enumerate(zip(*lengths, strict=True)):
        assert not np.any(d_frames[row, time:])
        assert not np.any(d_predicted[row, count + 1 :])


def test_rows_of_padding_and_of_the_impossible_count_for_nothing():
    sources, (labels, frame_lengths, label_lengths) = random_inputs(4, 20, 9)
    rest = frame_lengths * [1, 0, 1, 1], tf.add(label_lengths, [0, 0, 10, 0])
    losses, *gradients = gradients_of(tiled, sources, labels, *rest)
    kept = [0, 3]
    only = [tf.gather(sources[0], kept), tf.gather(sources[1], kept), *sources[2:]]
    expected = tiled(only, *(tf.gather(x, kept) for x in (labels, *rest)))
    np.testing.assert_array_equal(tf.gather(losses, [1, 2]), 0)
    np.testing.assert_allclose(tf.gather(losses, kept), expected, rtol=1e-6)
    assert all(np.all(np.isfinite(x)) for x in gradients)
    for gradient in gradients[:2]:
        assert not np.any(tf.gather(gradient, [1, 2]))


@pytest.mark.parametrize("scale", [1e3, 1e5])
def test_extreme_logits_give_no_nan(scale):
    sources, rest = random_inputs(4, 20, 9)
    losses, *gradients = gradients_of(tiled, [*sources[:2], scale * sources[2], sources[3]], *rest)
    assert np.all(np.isfinite(losses))
    assert all(np.all(np.isfinite(x)) for x in gradients)


def test_a_joint_in_bfloat16_adds_up_in_float32():
    sources, rest = random_inputs(4, 60, 30, dtype=tf.bfloat16)
    found = gradients_of(tiled, sources, *rest)
    assert [x.dtype for x in found] == [tf.float32] + [tf.bfloat16] * 4
    logits = joint(sources[0][:, :, None], sources[1][:, None], *sources[2:])
    # A loss of some hundred nats: a sum in bfloat16 would be off by one.
    np.testing.assert_allclose(found[0], rnnt_loss(logits, *rest), rtol=1e-6)
    expected = gradients_of(dense, [tf.cast(x, tf.float32) for x in sources], *rest)
    for x, y in zip(found, expected, strict=True):
        x = tf.cast(x, tf.float32).numpy()
        np.testing.assert_allclose(x, y, atol=0.03 * np.abs(y).max())


@pytest.mark.parametrize("scale", [10.0, *heavy(0.1)])
def test_tiles_that_alignments_hardly_visit_do_not_matter(scale):
    sources, (labels, *_) = random_inputs(2, 200, 60)
    sources[2] *= scale
    lengths = tf.constant([200, 150]), tf.constant([60, 60])
    found, expected = (
        gradients_of(functools.partial(tiled, rare=rare), sources, labels, *lengths)
        for rare in (1e-9, -1.0)
    )
    assert_same(found, expected, 1e-6)


def sizes_in(graph):
    """Elements of every tensor of a graph and of the functions that it calls."""
    graphs = [graph, *(function.graph for function in graph._functions.values())]
    for part in graphs:
        for operation in part.get_operations():
            for tensor in operation.outputs:
                shape = tensor.shape
                yield operation.name, math.prod(shape) if shape.is_fully_defined() else 0


@pytest.mark.parametrize("loss", [dense, functools.partial(tiled, logits_at_once=128 * VOCAB)])
def test_the_lattice_of_logits_is_never_held(loss):
    sources, rest = random_inputs(4, 160, 79)
    step = tf.function(functools.partial(gradients_of, loss), autograph=False)
    largest = max(size for _, size in sizes_in(step.get_concrete_function(sources, *rest).graph))
    points = 4 * 160 * 80
    if loss is dense:
        # The test can tell.
        assert largest >= points * VOCAB
    else:
        # A few numbers for each point, for which its few symbols are no more.
        assert largest <= 4 * points


def test_refused_shapes():
    sources, (labels, *lengths) = random_inputs(2, 4, 2)
    with pytest.raises(UserError, match=r"one more. Received: 1 labels, 3 columns"):
        tiled(sources, labels[:, :1], *lengths)
