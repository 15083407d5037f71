import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantEinsumDense, QuantMultiHeadAttention
from int4_conformer.quant import QuantConfig, Recipe
from tests.quant import reference
from tests.support import twins
from tests.support.deployments import traced
from tests.support.examples import heavy

BATCH, TIME, WIDTH, HEADS, HEAD_DIM = 2, 6, 8, 2, 4
RNG = np.random.default_rng(0)
X = RNG.standard_normal([BATCH, TIME, WIDTH]).astype(np.float32)
SOURCE = RNG.standard_normal([BATCH, 4, WIDTH]).astype(np.float32)
MASK = RNG.random([BATCH, TIME, 4]) < 0.7
MASK[..., 0] = True


def built(layer, *inputs):
    layer(*inputs)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def attention(*inputs, heads=HEADS, **options):
    return built(QuantMultiHeadAttention(heads, HEAD_DIM, **options), *inputs)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {"use_causal_mask": True}),
        ({}, {"attention_mask": MASK, "return_attention_scores": True}),
        ({"use_gate": True, "sliding_window": 2}, {}),
        ({"value_dim": 3, "output_shape": 5, "use_bias": False}, {"key": SOURCE + 1}),
        ({"dropout": 0.5, "seed": 3}, {"training": True}),
    ],
    ids=str,
)
def test_in_float_it_is_the_layer_of_keras(options, call):
    layer = attention(X, SOURCE, **options)
    expected = built(keras.layers.MultiHeadAttention(HEADS, HEAD_DIM, **options), X, SOURCE)
    names = [[weight.path.split("/", 1)[1] for weight in w.weights] for w in (layer, expected)]
    assert names[0] == names[1]
    y, wanted = layer(X, SOURCE, **call), expected(X, SOURCE, **call)
    for one, other in zip(tf.nest.flatten(y), tf.nest.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_all_projections_are_quantized_alike():
    layer = attention(X, X, quant="w4a8", use_gate=True)
    config = Recipe.preset("w4a8").config()
    projections = list(layer._flatten_layers(include_self=False))
    quantized = {p.name: p.quant for p in projections if isinstance(p, QuantEinsumDense)}
    names = ("query", "key", "value", "attention_output", "gate")
    assert quantized == dict.fromkeys(names, config)
    assert not any(type(p) is keras.layers.EinsumDense for p in projections)


def test_a_recipe_decides_for_each_projection():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    recipe = Recipe(name="mixed", rules=(("block/mha/(query|key)", w4), ("block/.*", w8)))
    layer = attention(X, X, quant=recipe.at("block").at("mha"))
    clone = built(QuantMultiHeadAttention.from_config(layer.get_config()), X, X)
    for one in (layer, clone):
        assert (one.query_dense.quant, one.key_dense.quant) == (w4, w4)
        assert (one.value_dense.quant, one.output_dense.quant) == (w8, w8)
    np.testing.assert_array_equal(clone(X, X), layer(X, X))


def test_a_recipe_without_a_rule():
    recipe = Recipe(name="half", rules=(("query|key|value", QuantConfig()),))
    with pytest.raises(UserError, match="`half` has no rule for layer `attention_output`"):
        QuantMultiHeadAttention(HEADS, HEAD_DIM, quant=recipe)


def test_a_scheme_of_an_earlier_version_has_its_name_of_today():
    config = QuantMultiHeadAttention(
        HEADS, HEAD_DIM, activation_scheme="int8_symmetric"
    ).get_config()
    layer = QuantMultiHeadAttention.from_config(config | {"activation_scheme": "int8"})
    assert layer.get_config() == config


def test_an_unknown_activation_scheme():
    with pytest.raises(
        UserError, match=r"quantized by int8_symmetric or int4_symmetric\. Received: 'a8d'"
    ):
        QuantMultiHeadAttention(HEADS, HEAD_DIM, activation_scheme="a8d")


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("scheme", ["int8_symmetric", "int4_symmetric"])
def test_scores_and_context_are_products_of_integers(scheme):
    layer, bits = attention(X, SOURCE, quant="w4a8sym", activation_scheme=scheme), int(scheme[3])
    # [batch, heads, time, head_dim]
    query, key, value = (
        np.swapaxes(dense(x), 1, 2)
        for dense, x in (
            (layer.query_dense, X),
            (layer.key_dense, SOURCE),
            (layer.value_dense, SOURCE),
        )
    )
    used = reference.on_grid(query / 2, bits, (-1,)) @ np.swapaxes(
        reference.on_grid(key, bits, (-1,)), 2, 3
    )
    scores = softmax(np.where(MASK[:, None], used, -1e9))
    codes, scale = reference.quantize(value, bits, (-1,))
    context = reference.on_grid(scores * np.swapaxes(scale, 2, 3), bits, (-1,)) @ codes
    expected = layer.output_dense(np.swapaxes(context, 1, 2))
    y, returned = layer(X, SOURCE, attention_mask=MASK, return_attention_scores=True)
    np.testing.assert_allclose(returned, scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"attention_axes": (1, 2)}], ids=str)
def test_integers_come_close_to_float(options):
    x = RNG.standard_normal([2, 3, 5, WIDTH]).astype(np.float32) if options else X
    exact = attention(x, x, **options)(x, x)
    y = attention(x, x, activation_scheme="int8_symmetric", **options)(x, x)
    error = np.std(y - exact) / np.std(exact)
    assert 0.001 < error < 0.03


@pytest.mark.parametrize("scheme", [None, "int8_symmetric"])
def test_what_is_masked_has_no_influence(scheme):
    layer = attention(X, X, quant="w4a8", activation_scheme=scheme)
    changed = np.concatenate([X[:, :4], 100 * X[:, 4:]], axis=1)
    y, other = (layer(x, x, use_causal_mask=True)[:, :4] for x in (X, changed))
    np.testing.assert_array_equal(y, other)
    mask = np.arange(TIME) < np.array([[[TIME]], [[4]]])
    y, other = (layer(X, x, attention_mask=mask) for x in (X, changed))
    np.testing.assert_array_equal(y[1], other[1])
    assert np.any(y[0] != other[0])


def test_dropout_applies_to_the_scores():
    layer = attention(X, SOURCE, activation_scheme="int8_symmetric", dropout=0.5)
    y, again, exact = (layer(X, SOURCE, training=training) for training in (True, True, False))
    assert np.any(y != again)
    assert np.any(y != exact)
    np.testing.assert_array_equal(exact, layer(X, SOURCE))


def test_gradients_reach_all_weights():
    layer = attention(X, SOURCE, quant="w4a8", activation_scheme="int4_symmetric")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X, SOURCE) ** 2)
    variables = [weight.value for weight in layer.trainable_weights]
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        # What shifts all scores of a query alike, softmax ignores, but for rounding.
        assert np.any(gradient) or "key/bias" in variable.path


def test_steps_reach_the_projections():
    layer = attention(X, X, quant=QuantConfig(weight_bits=4, start_step=1))
    exact = attention(X, X)(X, X)
    np.testing.assert_allclose(layer(X, X, training=True), exact, rtol=1e-5, atol=1e-5)
    assert np.abs(layer(X, X, training=True) - exact).max() > 0.01


@pytest.mark.parametrize("scheme", [None, "int8_symmetric"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_unknown_sizes(policy, scheme):
    layer = attention(X, X, quant="w8a8", activation_scheme=scheme, dtype=policy)
    function = tf.function(
        lambda x: layer(x, x, use_causal_mask=True),
        input_signature=[tf.TensorSpec([None, None, WIDTH])],
        autograph=False,
    )
    y, expected = function(X), layer(X, X, use_causal_mask=True)
    assert y.dtype == layer.compute_dtype
    tolerance = 1e-5 if policy == "float32" else 0.05
    np.testing.assert_allclose(
        tf.cast(y, tf.float32), tf.cast(expected, tf.float32), rtol=tolerance, atol=tolerance
    )


class SelfAttention(keras.layers.Layer):
    """Of one input, as files have it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x, x)


@pytest.mark.parametrize(
    "options", [{}, *heavy({"activation_scheme": "int8_symmetric"}, {"dropout": 0.5})], ids=str
)
def test_a_file_multiplies_the_same_integers(options):
    layer = SelfAttention(attention(X, X, quant="w4a8", **options))
    layer(X)
    content = twins.packed(layer, X[:1])
    assert {"FULLY_CONNECTED", "BATCH_MATMUL"} <= twins.operators(content)
    np.testing.assert_allclose(twins.run(content, X[:1]), layer(X[:1]), rtol=1e-4, atol=1e-4)


def test_a_server_multiplies_the_same_integers():
    layer = attention(X, X, quant="w4a8", activation_scheme="int8_symmetric")
    graph, deployment = traced(lambda x: layer(x, x), "integers", tf.TensorSpec(X.shape))
    assert len(deployment.matrices) == 4
    np.testing.assert_allclose(graph(X), layer(X, X), rtol=1e-5, atol=1e-5)
