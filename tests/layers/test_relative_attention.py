import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.layers import Frames, RelativeAttention, Span
from int4_conformer.quant import QuantConfig, Recipe
from tests.support.examples import heavy
from tests.support.frames import seen_by
from tests.support.streaming import SEGMENTS_ALONE, noise

DIM, HEADS, TIME = 12, 3, 7
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [4]])
LIMITS = [(3, 2), (1, 0), (1, 5), (2, 1)]


def built(chunk=None, left_context=None):
    """A float layer whose weights, biases included, are not zero."""
    layer = RelativeAttention(DIM, HEADS, chunk=chunk, left_context=left_context)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape) * 0.5)
    return layer


@pytest.fixture(scope="module")
def attention():
    """Of frames that see all."""
    return built()


def positions(time, first=0):
    """(sin, cos) of frames that are counted from `first`."""
    frames, _ = Span(dim=DIM // HEADS).advance(tf.zeros([1, first + time, 1]), None, None)
    sin, cos = frames.positions
    return sin[first:], cos[first:]


def at_positions(layer, positions):
    return layer.advance_frames(X, Frames(positions=positions), None, training=False)[0]


def expected(layer, x, sees=None):
    """One utterance by the formula of the module's docstring, in sums over i and j.

    Args:
        sees: bool [time, time], or None if each frame sees all.
    """
    time, width = len(x), DIM // HEADS
    frequencies = [10000.0 ** (-n / (width // 2)) for n in range(width // 2)]

    def r(distance):
        angles = np.array(frequencies) * distance
        return np.concatenate([np.sin(angles), np.cos(angles)])

    def dense(sublayer, x):
        kernel, *bias = sublayer.get_weights()
        return x @ kernel.astype(np.float64) + sum(bias)

    gamma, beta = layer.norm.get_weights()
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta
    query, key, value, u = (
        dense(sublayer, x).reshape(time, HEADS, width)
        for sublayer in (
            layer.query_dense,
            layer.key_dense,
            layer.value_dense,
            layer.position_dense,
        )
    )
    context = np.zeros([time, HEADS, width])
    for head in range(HEADS):
        for i in range(time):
            scores = np.array(
                [query[i, head] @ key[j, head] + u[i, head] @ r(i - j) for j in range(time)]
            )
            weights = np.exp(scores / np.sqrt(width))
            if sees is not None:
                weights *= sees[i]
            context[i, head] = weights @ value[:, head] / weights.sum()
    return dense(layer.output_dense, context.reshape(time, DIM))


def test_only_the_key_has_no_bias(attention):
    # It would shift all scores of a query alike.
    biased = {weight.path.split("/")[-2] for weight in attention.weights if weight.name == "bias"}
    assert biased == {"query", "position", "value", "output"}


def test_it_is_the_formula(attention):
    y = attention(X)
    for utterance, output in zip(X, y, strict=True):
        np.testing.assert_allclose(output, expected(attention, utterance), rtol=1e-4, atol=1e-4)


def test_padded_frames_are_not_attended_to(attention):
    y = attention(X, MASK)
    np.testing.assert_allclose(y[1, :4], expected(attention, X[1, :4]), rtol=1e-4, atol=1e-4)
    other = np.where(MASK[..., None], X, 100 * X[:, ::-1])
    again = attention(other, MASK)
    np.testing.assert_array_equal(again[MASK], y[MASK])


def test_only_differences_of_positions_matter(attention):
    y = attention(X)
    shifted = at_positions(attention, positions(TIME, first=50))
    np.testing.assert_allclose(shifted, y, rtol=1e-3, atol=1e-4)
    backwards = at_positions(attention, tuple(table[::-1] for table in positions(TIME)))
    assert np.abs(backwards - y).max() > 0.1


def test_an_utterance_without_a_frame_gives_no_nan(attention):
    y = attention(X, np.zeros([2, TIME], bool))
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize(("chunk", "left_context"), LIMITS)
def test_what_frames_do_not_see_is_not_attended_to(chunk, left_context):
    layer = built(chunk, left_context)
    sees = seen_by(TIME, chunk, left_context)
    for x, output, mask in zip(X, layer(X, MASK), MASK, strict=True):
        reference = expected(layer, x[mask], sees[mask][:, mask])
        np.testing.assert_allclose(output[mask], reference, rtol=1e-4, atol=1e-4)


# In full as a part of Conformers.
@pytest.mark.parametrize(
    ("chunk", "left_context", "options"),
    [*((*limits, SEGMENTS_ALONE) for limits in LIMITS), *heavy((*LIMITS[0], {}))],
)
def test_segments_are_attended_to_as_the_whole(chunk, left_context, options):
    verify_steppable(built(chunk, left_context), noise([3, 13, DIM]), [13, 5, 9], **options)


@pytest.mark.parametrize("shape", [[2, None], [None, TIME], [None, None]], ids=str)
@pytest.mark.parametrize("limits", [(), LIMITS[0]], ids=str)
def test_unknown_axes(shape, limits):
    layer = built(*limits)
    function = tf.function(layer, input_signature=[tf.TensorSpec([*shape, DIM])], autograph=False)
    np.testing.assert_allclose(function(X), layer(X), rtol=1e-4, atol=1e-4)


def test_each_matmul_has_its_own_rule():
    names = ["query", "position", "key", "value", "output"]
    bits = {name: QuantConfig(weight_bits=4 + n) for n, name in enumerate(names)}
    recipe = Recipe(name="test", rules=tuple((f"mha/{name}", bits[name]) for name in names))
    layer = RelativeAttention(DIM, HEADS, quant=recipe.at("mha"))
    for name in names:
        assert getattr(layer, f"{name}_dense").quant == bits[name]
