import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.errors import UserError
from int4_conformer.models.convolution_subsampling import ConvolutionSubsampling
from int4_conformer.quant import QuantConfig, Recipe
from tests.support.streaming import SEGMENTS_ALONE, noise

BINS, CHANNELS = 8, 3
FEATURES = noise([2, 12, BINS])


def built(factor):
    """A layer whose weights, biases included, are not zero."""
    layer = ConvolutionSubsampling(factor, BINS, CHANNELS)
    layer.build(FEATURES.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(0.5 * rng.standard_normal(weight.shape))
    return layer


def expected(layer, features):
    """One utterance, output by output, float64."""
    x = features[..., None].astype(np.float64)
    for convolution in layer.convolutions:
        kernel, bias = convolution.get_weights()
        y = np.zeros([len(x) // 2, x.shape[1] // 2, CHANNELS])
        for t, f in np.ndindex(y.shape[:2]):
            y[t, f] = bias
            for i, j in np.ndindex(3, 3):
                # Of the frames 2 t and 2 t + 1 and the one before them; as for the bins.
                time, bin_ = 2 * t - 1 + i, 2 * f - 1 + j
                if time >= 0 and bin_ >= 0:
                    y[t, f] += x[time, bin_] @ kernel[i, j]
        x = np.maximum(y, 0)
    return x.reshape(len(x), -1)


@pytest.mark.parametrize("factor", [2, 4])
def test_it_is_strided_convolutions_that_look_back(factor):
    layer = built(factor)
    y = layer(FEATURES)
    assert y.shape == (2, 12 // factor, BINS // factor * CHANNELS)
    for utterance, output in zip(FEATURES, y, strict=True):
        np.testing.assert_allclose(output, expected(layer, utterance), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [[2, None], [None, 12], [None, None]], ids=str)
def test_unknown_axes(shape):
    layer = built(4)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([*shape, BINS])], autograph=False)
    np.testing.assert_allclose(graph(FEATURES), layer(FEATURES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("factor", "options"), [(2, SEGMENTS_ALONE), (4, {})])
def test_segments_are_subsampled_as_the_whole(factor, options):
    x = noise([3, 13 * factor, BINS])
    verify_steppable(built(factor), x, lengths=[13, 5, 9], **options)


@pytest.mark.parametrize(
    ("factor", "bins", "received"),
    [(3, 9, "stack=3, mel_bins=9"), (1, 8, "stack=1, mel_bins=8"), (4, 6, "stack=4, mel_bins=6")],
)
def test_what_cannot_be_halved(factor, bins, received):
    with pytest.raises(UserError, match=f"power of two that divides `mel_bins`. .*{received}"):
        ConvolutionSubsampling(factor, bins, CHANNELS)


def test_the_convolutions_follow_the_recipe():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    rules = ("sub/convolution_0", w4), ("sub/convolution_1", w8)
    recipe = Recipe(name="test", rules=rules)
    layer = ConvolutionSubsampling(4, BINS, CHANNELS, quant=recipe.at("sub"))
    assert [convolution.quant for convolution in layer.convolutions] == [w4, w8]
