import numpy as np
import pytest

from int4_conformer.layers import QuantEmbedding
from int4_conformer.models import Joint, JointConfig
from int4_conformer.quant import QuantConfig, Recipe

VOCAB, DIM = 7, 4
RNG = np.random.default_rng(0)
ENCODED = RNG.standard_normal([2, 3, 6]).astype(np.float32)
PREDICTED = RNG.standard_normal([2, 5, DIM]).astype(np.float32)


def built(tied, recipe="float"):
    embedding = QuantEmbedding(VOCAB, DIM, quant=recipe) if tied else None
    if tied:
        embedding.build()
    layer = Joint(JointConfig(dim=DIM, tied=tied), VOCAB, Recipe.preset(recipe), embedding)
    layer(ENCODED, PREDICTED)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
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
    layer = Joint(JointConfig(dim=DIM, tied=False), VOCAB, recipe.at("joint"), None)
    assert (layer.encoder_dense.quant, layer.output_dense.quant) == (w4, w8)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_its_output_layer_knows_of_training(tied):
    noisy = QuantConfig(weight_bits=4, weight_noise=1.0)
    recipe = Recipe(name="test", rules=((".*output|.*embedding", noisy), (".*", QuantConfig())))
    embedding = QuantEmbedding(VOCAB, DIM, quant=noisy) if tied else None
    if tied:
        embedding.build()
    layer = Joint(JointConfig(dim=DIM, tied=tied), VOCAB, recipe.at("joint"), embedding)
    evaluated = layer(ENCODED, PREDICTED).numpy()
    np.testing.assert_array_equal(layer(ENCODED, PREDICTED, training=False), evaluated)
    first, second = (layer(ENCODED, PREDICTED, training=True).numpy() for _ in range(2))
    assert not np.allclose(first, evaluated)
    assert not np.allclose(first, second)
