import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers import QuantEmbedding
from int4_conformer.losses import rnnt_loss
from int4_conformer.models import Joint, JointConfig
from int4_conformer.quant import QuantConfig, Recipe
from tests.support.examples import heavy

VOCAB, DIM = 7, 4
RNG = np.random.default_rng(0)
ENCODED = RNG.standard_normal([2, 3, 6]).astype(np.float32)
PREDICTED = RNG.standard_normal([2, 5, DIM]).astype(np.float32)


def made(tied, quant=None, embedding_quant=None):
    """With its weights; a tied one is given the embedding."""
    embedding = None
    if tied:
        embedding = QuantEmbedding(VOCAB, DIM, quant=embedding_quant or quant)
        embedding.build()
    layer = Joint(JointConfig(dim=DIM, tied=tied), VOCAB, embedding=embedding, quant=quant)
    layer.build(ENCODED.shape, PREDICTED.shape)
    return layer


def built(tied, quant=None):
    """Whose weights, biases included, are not zero."""
    layer = made(tied, quant)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_it_is_the_formula(tied):
    layer = built(tied)
    logits = layer(ENCODED, PREDICTED)
    assert logits.shape == (2, 3, 5, VOCAB)
    if tied:
        output, output_bias = layer.embedding.embeddings.numpy().T, layer.output_bias.numpy()
    else:
        output, output_bias = layer.output_dense.get_weights()
    kernel, bias = layer.encoder_dense.get_weights()
    frames = ENCODED @ kernel + bias
    for t in range(3):
        for u in range(5):
            expected = np.tanh(frames[:, t] + PREDICTED[:, u]) @ output + output_bias
            np.testing.assert_allclose(logits[:, t, u], expected, rtol=1e-4, atol=1e-5)


def test_a_tied_output_adds_only_a_bias():
    tied, untied = built(True), built(False)
    assert tied.count_params() - VOCAB * DIM == untied.count_params() - VOCAB * DIM
    assert any(weight is tied.embedding.embeddings for weight in tied.weights)
    assert tied.output_bias.shape == (VOCAB,)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("recipe", ["float", "w4a8"])
def test_a_point_of_the_lattice_is_one_frame_and_one_prediction(tied, recipe):
    layer = built(tied, recipe)
    lattice = layer(ENCODED, PREDICTED)
    point = layer.logits(layer.project_frames(ENCODED)[:, 2], PREDICTED[:, 4])
    np.testing.assert_allclose(point, lattice[:, 2, 4], rtol=1e-5, atol=1e-5)


def test_each_matmul_has_its_own_rule():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    recipe = Recipe(name="test", rules=(("joint/encoder", w4), ("joint/output", w8)))
    layer = made(False, recipe.at("joint"))
    assert (layer.encoder_dense.quant, layer.output_dense.quant) == (w4, w8)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_its_output_layer_knows_of_training(tied):
    noisy = QuantConfig(weight_bits=4, weight_noise=1.0)
    recipe = Recipe(name="test", rules=((".*output|.*embedding", noisy), (".*", QuantConfig())))
    layer = made(tied, recipe.at("joint"), embedding_quant=noisy)
    evaluated = layer(ENCODED, PREDICTED).numpy()
    np.testing.assert_array_equal(layer(ENCODED, PREDICTED, training=False), evaluated)
    first, second = (layer(ENCODED, PREDICTED, training=True).numpy() for _ in range(2))
    assert not np.allclose(first, evaluated)
    assert not np.allclose(first, second)


LABELS = np.int32([[1, 2, 3, 4], [6, 5, 0, 0]])
LENGTHS = np.int32([3, 2]), np.int32([4, 2])


def losses_and_gradients(layer, dense, encoded=ENCODED):
    """Losses of either path, and gradients of the frames, the predictions and every variable."""
    encoded, predicted = tf.convert_to_tensor(encoded), tf.convert_to_tensor(PREDICTED)
    with tf.GradientTape() as tape:
        tape.watch([encoded, predicted])
        if dense:
            logits = layer(encoded, predicted, training=True)
            losses = rnnt_loss(logits, LABELS, *LENGTHS)
        else:
            losses = layer.loss(encoded, predicted, LABELS, *LENGTHS, training=True)
        total = tf.reduce_sum(losses * [1.0, 2.0])
    variables = [variable.value for variable in layer.trainable_variables]
    return [losses, *tape.gradient(total, [encoded, predicted, *variables])]


COMPILED = [("w4a8", True, "xla")]
EVERY = [*itertools.product(["float", "w4a8", "w4"], [True, False], ["eager", "graph", "xla"])]
EAGER = [case for case in EVERY if case[2] == "eager"]
OTHERS = [case for case in EVERY if case not in EAGER + COMPILED]


@pytest.mark.parametrize(("recipe", "tied", "mode"), [*EAGER, *COMPILED, *heavy(*OTHERS)])
def test_its_loss_is_that_of_its_logits(recipe, tied, mode):
    layer = built(tied, recipe)

    def run():
        return [losses_and_gradients(layer, dense) for dense in (False, True)]

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    found, expected = run()
    assert len(found) == 3 + len(layer.trainable_variables)
    for x, y in zip(found, expected, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        # XLA rounds the same tanh in two ways, by what it fuses it with, and codes with it.
        tolerance = 0.02 if mode == "xla" and recipe == "w4a8" else 2e-5
        np.testing.assert_allclose(x, y, atol=tolerance * np.abs(y).max())


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_its_loss_trains_options_of_quantization(tied):
    quant = QuantConfig(
        weight_bits=4,
        activation="int8_symmetric",
        learned_clip=True,
        scale_gradient=True,
        start_step=1,
    )
    recipe = Recipe(name="test", rules=((".*", quant),))
    layers = [built(tied, recipe) for _ in range(2)]
    for _ in range(3):
        found, expected = (
            losses_and_gradients(layer, dense)
            for layer, dense in zip(layers, (False, True), strict=True)
        )
        for x, y in zip(found, expected, strict=True):
            # Before the start there are no clips to train.
            assert (x is None) == (y is None)
            if y is not None:
                np.testing.assert_allclose(x, y, atol=2e-5 * np.abs(y).max())
    # A loss is a step, however many products it takes.
    steps = [[w.numpy() for w in layer.weights if "quant_step" in w.path] for layer in layers]
    assert steps[0] == steps[1]
    assert 3 in steps[0]


@pytest.mark.parametrize("option", [{"stochastic_rounding": True}, {"weight_noise": 1.0}])
def test_its_loss_draws_noise_once(option):
    quant = QuantConfig(weight_bits=4, **option)
    recipe = Recipe(name="test", rules=(("joint/output", quant), (".*", QuantConfig())))
    layer = made(False, recipe.at("joint"))
    (first, *gradients), (second, *_) = (losses_and_gradients(layer, False) for _ in range(2))
    assert not np.allclose(first, second)
    # Softmax and logits of one draw: what goes into the bias comes out of it.
    bias = next(g for g in gradients if g.shape == (VOCAB,))
    np.testing.assert_allclose(tf.reduce_sum(bias), 0, atol=1e-4)


def test_its_loss_moves_static_ranges():
    layer = built(False, "w4a8sym")
    before = [x.numpy() for x in layer.output_dense.quant_variables]
    layer.loss(ENCODED, PREDICTED, LABELS, *LENGTHS)
    for variable, value in zip(layer.output_dense.quant_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    for variable in layer.output_dense.quant_variables:
        variable.assign(tf.zeros_like(variable))
    found = losses_and_gradients(layer, False)
    logits = layer(ENCODED, PREDICTED)
    assert all(np.all(np.isfinite(x)) for x in found)
    # In the first step they come from what this step has seen.
    np.testing.assert_allclose(found[0], rnnt_loss(logits, LABELS, *LENGTHS), rtol=1e-3)
    for variable in layer.output_dense.quant_variables:
        assert variable[0] < variable[1]


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("recipe", ["float", "w4a8"])
def test_its_loss_in_bfloat16_is_one_of_float32(tied, recipe):
    expected = losses_and_gradients(built(tied, recipe), True)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = losses_and_gradients(built(tied, recipe), False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(x.dtype == tf.float32 for x in found)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=0.1 * np.abs(y).max())
