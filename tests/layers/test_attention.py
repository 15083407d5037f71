import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers import RelativeAttention, RelativePositions
from int4_conformer.quant import QuantConfig, Recipe

DIM, HEADS, TIME = 12, 3, 7
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [4]])


@pytest.fixture(scope="module")
def attention():
    """A float layer whose weights, biases included, are not zero."""
    layer = RelativeAttention(DIM, HEADS, 0.0, Recipe.preset("float"))
    layer(X, RelativePositions(DIM // HEADS)(X))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape) * 0.5)
    return layer


def positions(time, first=0):
    """(sin, cos) of frames that are counted from `first`."""
    sin, cos = RelativePositions(DIM // HEADS)(tf.zeros([1, first + time, 1]))
    return sin[first:], cos[first:]


def expected(layer, x):
    """One utterance by the formula of the module's docstring, in sums over i and j."""
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
            context[i, head] = weights @ value[:, head] / weights.sum()
    return dense(layer.output_dense, context.reshape(time, DIM))


def test_positions_are_sines_and_cosines_of_the_frame_numbers():
    sin, cos = RelativePositions(4)(tf.zeros([2, 5, 3]))
    angles = np.arange(5)[:, None] * [1, 0.01]
    np.testing.assert_allclose(sin, np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(cos, np.cos(angles), atol=1e-6)


def test_positions_of_an_unknown_number_of_frames_are_the_same():
    layer = RelativePositions(4)
    counted = tf.function(layer, input_signature=[tf.TensorSpec([1, None, 3])])
    x = tf.zeros([1, 2000, 3])
    for one, other in zip(counted(x), layer(x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_only_the_key_has_no_bias(attention):
    # It would shift all scores of a query alike.
    biased = {weight.path.split("/")[-2] for weight in attention.weights if weight.name == "bias"}
    assert biased == {"query", "position", "value", "output"}


def test_it_is_the_formula(attention):
    y = attention(X, positions(TIME))
    for utterance, output in zip(X, y, strict=True):
        np.testing.assert_allclose(output, expected(attention, utterance), rtol=1e-4, atol=1e-4)


def test_padded_frames_are_not_attended_to(attention):
    y = attention(X, positions(TIME), padding_mask=MASK)
    np.testing.assert_allclose(y[1, :4], expected(attention, X[1, :4]), rtol=1e-4, atol=1e-4)
    other = np.where(MASK[..., None], X, 100 * X[:, ::-1])
    again = attention(other, positions(TIME), padding_mask=MASK)
    np.testing.assert_array_equal(again[MASK], y[MASK])


def test_only_differences_of_positions_matter(attention):
    y = attention(X, positions(TIME))
    shifted = attention(X, positions(TIME, first=50))
    np.testing.assert_allclose(shifted, y, rtol=1e-3, atol=1e-4)
    backwards = attention(X, tuple(table[::-1] for table in positions(TIME)))
    assert np.abs(backwards - y).max() > 0.1


def test_an_utterance_without_a_frame_gives_no_nan(attention):
    y = attention(X, positions(TIME), padding_mask=np.zeros([2, TIME], bool))
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize("shape", [[2, None], [None, TIME], [None, None]], ids=str)
def test_unknown_axes(attention, shape):
    function = tf.function(
        lambda x: attention(x, RelativePositions(DIM // HEADS)(x)),
        input_signature=[tf.TensorSpec([*shape, DIM])],
    )
    np.testing.assert_allclose(function(X), attention(X, positions(TIME)), rtol=1e-4, atol=1e-4)


def test_each_matmul_has_its_own_rule():
    names = ["query", "position", "key", "value", "output"]
    bits = {name: QuantConfig(weight_bits=4 + n) for n, name in enumerate(names)}
    recipe = Recipe(name="test", rules=tuple((f"mha/{name}", bits[name]) for name in names))
    layer = RelativeAttention(DIM, HEADS, 0.0, recipe.at("mha"))
    for name in names:
        assert getattr(layer, f"{name}_dense").quant == bits[name]
