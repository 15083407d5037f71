import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers import QuantDense
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.folding_barriers import remove_barriers
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.verification import verify
from tests.support import dense_models, deployments

X = np.random.default_rng(0).standard_normal([5, 8]).astype(np.float32)
# What stands around a layer, each of which the converter would fold into its weights.
NEIGHBOURS = {
    "a factor": keras.layers.Rescaling(0.3),
    "an offset": keras.layers.Rescaling(1.0, offset=0.7),
    "batch normalization": keras.layers.BatchNormalization(),
}


def built(*layers):
    """A model of these layers with weights that are not trivial."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([8]), *layers])
    for weight in model.weights:
        weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5))
    return model


def converted(model):
    """The parsed file of a model's float twin, and its integers."""
    graph, deployment = deployments.traced(model, "float_twin", tf.TensorSpec([None, 8]))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], model)
    return flatbuffer.load(converter.convert()), deployed_weights(deployment, model)


def operators(model):
    return [operator.name for operator in flatbuffer.operators(model)]


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_nothing_is_folded_into_a_quantized_layer(name, place):
    neighbour = type(NEIGHBOURS[name]).from_config(NEIGHBOURS[name].get_config())
    dense = QuantDense(8, quant="w4a8")
    model = built(*((neighbour, dense) if place == "before" else (dense, neighbour)))
    content = pack(*converted(model))
    assert "MINIMUM" not in operators(flatbuffer.load(content))
    np.testing.assert_allclose(dense_models.run(content, X), model(X), rtol=1e-5, atol=1e-5)


def test_biases_stay_with_their_layers():
    model = built(QuantDense(8, quant="w4a8"), QuantDense(6, quant="w4a8"))
    parsed, weights = converted(model)
    content = pack(parsed, weights)
    verify(content, weights)
    assert operators(flatbuffer.load(content)) == 2 * ["FULLY_CONNECTED"]
    np.testing.assert_allclose(dense_models.run(content, X), model(X), rtol=1e-5, atol=1e-5)


def test_they_leave_no_trace():
    parsed, _ = converted(built(QuantDense(8, "relu", quant="w4a8")))
    assert operators(parsed) == ["MINIMUM", "FULLY_CONNECTED", "MINIMUM", "RELU"]
    tensors = len(parsed.subgraphs[0].tensors)
    remove_barriers(parsed)
    assert operators(parsed) == ["FULLY_CONNECTED", "RELU"]
    assert len(parsed.subgraphs[0].tensors) == tensors - 2
    assert len(parsed.operatorCodes) == 2


def test_other_minima_stay():
    @tf.function(input_signature=[tf.TensorSpec([3]), tf.TensorSpec([3])])
    def function(x, y):
        return tf.minimum(tf.minimum(x, y), 6.5)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    parsed = flatbuffer.load(converter.convert())
    remove_barriers(parsed)
    assert operators(parsed) == 2 * ["MINIMUM"]
