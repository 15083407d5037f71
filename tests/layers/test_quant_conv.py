import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantConv1D, QuantConv2D, QuantDepthwiseConv1D
from tests.quant import reference
from tests.support import twins
from tests.support.deployments import traced

RNG = np.random.default_rng(0)
SPEECH = RNG.standard_normal([2, 11, 6]).astype(np.float32)
IMAGES = RNG.standard_normal([2, 9, 8, 3]).astype(np.float32)


def built(layer, x):
    layer(x)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize(
    ("layer", "arguments", "x"),
    [
        (QuantConv1D, {"filters": 5, "kernel_size": 3, "padding": "same"}, SPEECH),
        (QuantConv1D, {"filters": 5, "kernel_size": 4, "strides": 3}, SPEECH),
        (
            QuantConv1D,
            {"filters": 5, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"},
            SPEECH,
        ),
        (QuantConv1D, {"filters": 5, "kernel_size": 1, "activation": "silu"}, SPEECH),
        (QuantConv2D, {"filters": 5, "kernel_size": (3, 2), "strides": (2, 1)}, IMAGES),
        (
            QuantConv2D,
            {"filters": 5, "kernel_size": 3, "dilation_rate": (1, 2), "use_bias": False},
            IMAGES,
        ),
        (QuantConv2D, {"filters": 5, "kernel_size": 2, "padding": "same", "strides": 3}, IMAGES),
        (QuantDepthwiseConv1D, {"kernel_size": 3, "strides": 2, "activation": "relu"}, SPEECH),
        (
            QuantDepthwiseConv1D,
            {"kernel_size": 4, "dilation_rate": 2, "depth_multiplier": 2, "use_bias": False},
            SPEECH,
        ),
    ],
)
def test_in_float_they_are_the_layers_of_keras(layer, arguments, x):
    keras_layer = getattr(keras.layers, layer.__name__.removeprefix("Quant"))
    y, expected = (built(cls(**arguments), x)(x) for cls in (layer, keras_layer))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_it_multiplies_in_integers():
    layer = built(QuantConv1D(5, 3, strides=2, activation="relu", quant="w4c_a8d"), SPEECH)
    kernel, bias = layer.get_weights()
    patches = [utterance[t : t + 3].reshape(-1) for utterance in SPEECH for t in range(0, 9, 2)]
    product = reference.dot(patches, kernel.reshape(18, 5), 4, "int8_asymmetric") + bias
    np.testing.assert_array_equal(layer(SPEECH), np.maximum(product, 0).reshape(2, 5, 5))


@pytest.mark.parametrize("layer", [QuantConv1D, QuantConv2D])
def test_groups_are_refused(layer):
    with pytest.raises(UserError, match=r"have no groups; .* Received: groups=2"):
        layer(4, 3, groups=2)


@pytest.mark.parametrize("layer", [QuantConv1D(4, 3), QuantConv2D(4, 3), QuantDepthwiseConv1D(3)])
def test_channels_come_last(layer):
    config = layer.get_config() | {"data_format": "channels_first"}
    with pytest.raises(UserError, match=r"channels last only.*data_format='channels_first'"):
        type(layer).from_config(config)


def test_a_depthwise_layer_refuses_integer_activations():
    with pytest.raises(UserError, match="Depthwise convolutions take float activations only"):
        QuantDepthwiseConv1D(3, quant="w8a8")(SPEECH)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (QuantConv1D(4, 3, strides=2, padding="causal", quant="w4c_a8d"), SPEECH),
        (QuantConv2D(4, 3, strides=2, padding="same", quant="w8c_a8d"), IMAGES[..., :2]),
    ],
    ids=["conv1d", "conv2d"],
)
def test_a_file_multiplies_the_same_integers(layer, x):
    built(layer, x)
    content = twins.packed(layer, x[:1])
    assert "FULLY_CONNECTED" in twins.operators(content)
    assert "CONV_2D" not in twins.operators(content)
    np.testing.assert_allclose(twins.run(content, x[:1]), layer(x[:1]), rtol=1e-5, atol=1e-5)


def test_a_depthwise_layer_in_a_file():
    layer = built(QuantDepthwiseConv1D(5, padding="same", quant="w8c"), SPEECH)
    content = twins.packed(layer, SPEECH[:1])
    assert "DEPTHWISE_CONV_2D" in twins.operators(content)
    np.testing.assert_allclose(twins.run(content, SPEECH[:1]), layer(SPEECH[:1]), atol=1e-5)


def test_a_server_holds_a_depthwise_kernel_as_integers():
    layer = built(QuantDepthwiseConv1D(5, padding="same", quant="w6c"), SPEECH)
    graph, deployment = traced(layer, "integers", tf.TensorSpec(SPEECH.shape))
    codes, scale = reference.quantize(layer.kernel.numpy()[..., 0], 6, axes=(0,))
    (held,) = deployment.depthwise.values()
    np.testing.assert_array_equal(held.tensor.codes, codes)
    np.testing.assert_array_equal(held.tensor.scale, scale)
    names = {variable.name.split(":")[0]: variable for variable in graph.variables}
    assert {name.rsplit("/", 1)[1] for name in names} == {"codes", "scale", "bias"}
    np.testing.assert_allclose(graph(SPEECH), layer(SPEECH), rtol=1e-5, atol=1e-6)
