import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantEmbedding
from tests.quant import reference
from tests.support import deployments

IDS = np.int32([[1, 6, 0], [1, 1, 3]])
X = np.random.default_rng(0).standard_normal([2, 3, 4]).astype(np.float32)


def built(quant):
    layer = QuantEmbedding(7, 4, quant=quant)
    layer.build()
    return layer


def test_in_float_it_is_the_embedding_of_keras():
    layer, expected = built(None), keras.layers.Embedding(7, 4)
    expected.build()
    described = [(weight.name, weight.shape) for weight in layer.weights]
    assert described == [(weight.name, weight.shape) for weight in expected.weights]
    expected.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(IDS), expected(IDS))


@pytest.mark.parametrize(("quant", "bits"), [("w2a8", 2), ("w4", 4), ("w4a8", 4), ("w6a8", 6)])
def test_rows_are_on_their_grids(quant, bits):
    layer = built(quant)
    on_grid = reference.on_grid(layer.embeddings.numpy(), bits, axes=(1,))
    np.testing.assert_array_equal(layer(IDS), on_grid[IDS])


@pytest.mark.parametrize(
    ("quant", "scheme"),
    [("w4a8", "int8_asymmetric"), ("w4a8sym", "int8_symmetric"), ("w4a4sym", "int4_symmetric")],
)
def test_projection_is_the_integer_product_with_the_transposed_table(quant, scheme):
    layer = built(quant)
    product = reference.dot(X.reshape(-1, 4), layer.embeddings.numpy().T, 4, scheme)
    np.testing.assert_array_equal(layer.project(X), product.reshape(2, 3, 7))
    # The one table serves both: a row that is looked up is the vector that is projected on.
    rows = layer(np.arange(7)).numpy()
    used = reference.rows_on_grid(X.reshape(-1, 4), scheme)
    np.testing.assert_allclose(product, used @ rows.T, rtol=1e-4, atol=1e-5)


def test_projection_in_float():
    layer = built(None)
    expected = X @ layer.embeddings.numpy().T
    np.testing.assert_allclose(layer.project(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("quant", [None, "w4", "w4a8"])
def test_gradients_are_straight_through(quant):
    layer = built(quant)
    dy = np.random.default_rng(1).standard_normal([2, 3, 4]).astype(np.float32)
    with tf.GradientTape() as tape:
        y = layer(IDS)
    gradient = tape.gradient(y, layer.embeddings.value, output_gradients=tf.constant(dy))
    expected = np.zeros([7, 4], np.float32)
    np.add.at(expected, IDS, dy)
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-6)


def test_the_projection_trains_the_table():
    layer = built("w4a8sym")
    dy = np.random.default_rng(1).standard_normal([6, 7]).astype(np.float32)
    with tf.GradientTape() as tape:
        y = layer.project(X.reshape(-1, 4))
    gradient = tape.gradient(y, layer.embeddings.value, output_gradients=tf.constant(dy))
    used = reference.rows_on_grid(X.reshape(-1, 4), "int8_symmetric")
    np.testing.assert_allclose(gradient, dy.T @ used, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("quant", ["w4", "w4a8", "w4a8sym", "w4a4sym"])
def test_a_deployed_table_serves_both_uses_with_its_integers(quant):
    layer = built(quant)
    rows, products, table = layer(IDS).numpy(), layer.project(X).numpy(), layer.embeddings.numpy()
    graph, deployment = deployments.traced(
        lambda ids, x: (layer(ids), layer.project(x)),
        "integers",
        tf.TensorSpec(IDS.shape, tf.int32),
        tf.TensorSpec(X.shape),
    )
    assert deployments.matrices(graph) == [("int8", (7, 4))]
    (matrix,) = deployment.matrices.values()
    codes, scale = reference.quantize(table, 4, axes=(1,))
    np.testing.assert_array_equal(matrix.tensor.codes, codes)
    np.testing.assert_array_equal(matrix.tensor.scale, scale)
    assert (matrix.name, matrix.axis) == (layer.embeddings.path, 1)
    layer.embeddings.assign(0 * table)
    for served, expected in zip(graph(IDS, X), (rows, products), strict=True):
        deployments.assert_same_integers(served, expected)


def test_a_float_table_is_not_deployed():
    layer = built(None)
    graph, deployment = deployments.traced(layer, "integers", tf.TensorSpec([3], tf.int32))
    assert not deployment.matrices
    np.testing.assert_array_equal(graph(IDS[0]), layer(IDS[0]))


@pytest.mark.parametrize("shape", [[2, 3], [None, 3], [2, None], [None, None]], ids=str)
def test_ids_of_any_shape(shape):
    layer = built("w4a8")
    lookup = tf.function(layer, input_signature=[tf.TensorSpec(shape, tf.int32)], autograph=False)
    np.testing.assert_array_equal(lookup(IDS), layer(IDS))


def test_config_round_trip():
    layer = QuantEmbedding(7, 4, quant="w4a8", name="labels")
    clone = QuantEmbedding.from_config(json.loads(json.dumps(layer.get_config())))
    assert clone.get_config() == layer.get_config()
    assert (clone.input_dim, clone.output_dim, clone.name) == (7, 4, "labels")
    assert clone.quant == layer.quant


def test_a_saved_model_computes_the_same(tmp_path):
    layer = QuantEmbedding(7, 4, quant="w4")
    model = keras.Sequential([keras.Input([None], dtype="int32"), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].quant.weight_bits == 4
    np.testing.assert_array_equal(loaded.predict(IDS, verbose=0), layer(IDS))


def test_an_unknown_recipe():
    with pytest.raises(UserError, match="Unknown recipe 'int4'; choose one of"):
        QuantEmbedding(7, 4, quant="int4")
