import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers import Frames, RelativeAttention, Span
from int4_conformer.quant import QuantConfig, Recipe
from tests.support import streaming
from tests.support.frames import seen_by

DIM, HEADS, TIME = 12, 3, 7
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [4]])
SPAN = Span(dim=DIM // HEADS)
SPANS = [
    Span(dim=DIM // HEADS, chunk=chunk, left_context=left_context)
    for chunk, left_context in ((3, 2), (1, 0), (1, 5), (2, 1))
]


@pytest.fixture(scope="module")
def attention():
    """A float layer whose weights, biases included, are not zero."""
    layer = RelativeAttention(DIM, HEADS, 0.0, Recipe.preset("float"))
    layer(X, frames=SPAN.whole(X))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape) * 0.5)
    return layer


def positions(time, first=0):
    """(sin, cos) of frames that are counted from `first`."""
    sin, cos = SPAN.whole(tf.zeros([1, first + time, 1])).positions
    return sin[first:], cos[first:]


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
    y = attention(X, frames=SPAN.whole(X))
    for utterance, output in zip(X, y, strict=True):
        np.testing.assert_allclose(output, expected(attention, utterance), rtol=1e-4, atol=1e-4)


def test_padded_frames_are_not_attended_to(attention):
    y = attention(X, frames=SPAN.whole(X, MASK))
    np.testing.assert_allclose(y[1, :4], expected(attention, X[1, :4]), rtol=1e-4, atol=1e-4)
    other = np.where(MASK[..., None], X, 100 * X[:, ::-1])
    again = attention(other, frames=SPAN.whole(other, MASK))
    np.testing.assert_array_equal(again[MASK], y[MASK])


def test_only_differences_of_positions_matter(attention):
    y = attention(X, frames=SPAN.whole(X))
    shifted = attention(X, frames=Frames(positions=positions(TIME, first=50)))
    np.testing.assert_allclose(shifted, y, rtol=1e-3, atol=1e-4)
    backwards = tuple(table[::-1] for table in positions(TIME))
    backwards = attention(X, frames=Frames(positions=backwards))
    assert np.abs(backwards - y).max() > 0.1


def test_an_utterance_without_a_frame_gives_no_nan(attention):
    y = attention(X, frames=SPAN.whole(X, np.zeros([2, TIME], bool)))
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_what_frames_do_not_see_is_not_attended_to(attention, span):
    y = attention(X, frames=span.whole(X, MASK))
    sees = seen_by(TIME, span.chunk, span.left_context)
    for x, output, mask in zip(X, y, MASK, strict=True):
        reference = expected(attention, x[mask], sees[mask][:, mask])
        np.testing.assert_allclose(output[mask], reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_segments_are_attended_to_as_the_whole(attention, span):
    streaming.assert_streams(
        streaming.of_block(attention, span), streaming.noise([3, 13, DIM]), lengths=[13, 5, 9]
    )


@pytest.mark.parametrize("shape", [[2, None], [None, TIME], [None, None]], ids=str)
@pytest.mark.parametrize("span", [SPAN, SPANS[0]], ids=str)
def test_unknown_axes(attention, shape, span):
    function = tf.function(
        lambda x: attention(x, frames=span.whole(x)),
        input_signature=[tf.TensorSpec([*shape, DIM])],
    )
    whole = attention(X, frames=span.whole(X))
    np.testing.assert_allclose(function(X), whole, rtol=1e-4, atol=1e-4)


def test_each_matmul_has_its_own_rule():
    names = ["query", "position", "key", "value", "output"]
    bits = {name: QuantConfig(weight_bits=4 + n) for n, name in enumerate(names)}
    recipe = Recipe(name="test", rules=tuple((f"mha/{name}", bits[name]) for name in names))
    layer = RelativeAttention(DIM, HEADS, 0.0, recipe.at("mha"))
    for name in names:
        assert getattr(layer, f"{name}_dense").quant == bits[name]
