import numpy as np
import pytest

from int4_conformer.layers import ConvolutionModule
from int4_conformer.quant import QuantConfig, Recipe
from tests.support import streaming

DIM, TIME = 6, 9
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [5]])


def module(kernel_size, chunk=None, recipe="float"):
    """A layer whose weights, biases included, are not zero."""
    layer = ConvolutionModule(DIM, kernel_size, chunk, 0.0, Recipe.preset(recipe))
    layer(X)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape) * 0.5)
    return layer


def norm(layer, x):
    gamma, beta = layer.get_weights()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected(layer, x):
    """One utterance, frame by frame."""
    (up, up_bias), (down, down_bias) = layer.up.get_weights(), layer.down.get_weights()
    kernel = layer.depthwise_kernel.numpy()
    value, gate = np.split(norm(layer.norm, x) @ up + up_bias, 2, axis=-1)
    gated = value * sigmoid(gate)
    convolved = np.zeros_like(x)
    taps, chunk = len(kernel), layer.chunk or len(x)
    for t in range(len(x)):
        for k in range(taps):
            source = t + k - (taps - 1 if layer.chunk == 1 else (taps - 1) // 2)
            if 0 <= source < min(len(x), t - t % chunk + chunk):
                convolved[t] += gated[source] * kernel[k]
    normalized = norm(layer.depthwise_norm, convolved)
    return normalized * sigmoid(normalized) @ down + down_bias


@pytest.mark.parametrize("kernel_size", [1, 3, 4, 15])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_it_is_gate_depthwise_convolution_and_projection(kernel_size, chunk):
    layer = module(kernel_size, chunk)
    for utterance, output in zip(X, layer(X), strict=True):
        reference = expected(layer, utterance)
        np.testing.assert_allclose(output, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 2, 4, 15])
@pytest.mark.parametrize("chunk", [1, 3])
def test_segments_are_convolved_as_the_whole(kernel_size, chunk):
    streaming.assert_streams(
        streaming.of_layer(module(kernel_size, chunk), unit=chunk),
        streaming.noise([3, 13, DIM]),
        lengths=[13, 5, 9],
    )


@pytest.mark.parametrize("recipe", ["float", "w4a8"])
def test_padding_changes_no_real_frame(recipe):
    layer = module(5, recipe=recipe)
    y = layer(X, MASK).numpy()
    np.testing.assert_allclose(y[1, :5], layer(X[1:, :5])[0], rtol=1e-4, atol=1e-4)
    other = np.where(MASK[..., None], X, 100 * X[:, ::-1])
    np.testing.assert_array_equal(layer(other, MASK)[MASK], y[MASK])


def test_the_dense_layers_follow_the_recipe():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    recipe = Recipe(name="test", rules=(("conv/up", w4), ("conv/down", w8)))
    layer = ConvolutionModule(DIM, 3, None, 0.0, recipe.at("conv"))
    assert (layer.up.quant, layer.down.quant) == (w4, w8)
