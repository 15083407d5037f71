"""What every public layer of the package does as Keras asks: weights, configs, saved models."""

import inspect
import json

import keras
import numpy as np
import pytest

from int4_conformer import layers, models
from int4_conformer.audio.features import LogMel
from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.models import (
    Encoder,
    EncoderConfig,
    Joint,
    JointConfig,
    Predictor,
    make_predictor,
)
from int4_conformer.models.conformer_block import ConformerBlock
from int4_conformer.models.convolution_subsampling import ConvolutionSubsampling
from int4_conformer.models.lstm_block import LSTMBlock
from int4_conformer.models.transformer_block import TransformerBlock
from tests.layers import battery
from tests.support import tiny
from tests.support.streaming import noise

X = noise([2, 4, 8])
LABELS = np.int32([[3, 7, 1], [4, 0, 2]])
CONFIG = EncoderConfig(
    dim=8, blocks=2, heads=2, kernel_size=3, expansion=2, dropout=0.3, chunk=2, left_context=4
)


def predictor(kind):
    return make_predictor(tiny.predictor_config(kind), 9, 6, quant="w8a8")


# Layers with settings that are not those by default, and what they are called with.
CASES = {
    **{
        case.layer.__name__: (case.layer(quant=case.scheme, **case.arguments), case.inputs)
        for case in battery.CASES
    },
    "QuantLSTMCell": (
        layers.QuantLSTMCell(5, quant="w8a8"),
        (X[:, 0], [noise([2, 5]), noise([2, 5])]),
    ),
    "ProjectedLSTM": (layers.ProjectedLSTM(6, 5, quant="w8a8"), (X,)),
    "Dropout": (layers.Dropout(0.3), (X,)),
    "FeedForward": (layers.FeedForward(8, 12, dropout=0.3, quant="w4a8"), (X,)),
    "ConvolutionModule": (
        layers.ConvolutionModule(8, 4, chunk=2, dropout=0.3, quant="w4a8"),
        (X,),
    ),
    "RelativeAttention": (
        layers.RelativeAttention(8, 2, chunk=2, left_context=2, dropout=0.3, quant="w4a8"),
        (X,),
    ),
    "ConformerBlock": (
        ConformerBlock(8, 2, 3, expansion=2, chunk=2, left_context=2, dropout=0.3, quant="w4a8"),
        (X,),
    ),
    "TransformerBlock": (
        TransformerBlock(8, 2, expansion=2, chunk=2, left_context=2, dropout=0.3, quant="w4a8"),
        (X,),
    ),
    "LSTMBlock": (LSTMBlock(8, 6, chunk=2, dropout=0.3, quant="w8a8"), (X,)),
    "ConvolutionSubsampling": (ConvolutionSubsampling(2, 8, 3, quant="w4a8"), (X,)),
    "Encoder": (Encoder(CONFIG, 2, 8, quant="w4a8"), (X,)),
    "Joint": (
        Joint(JointConfig(dim=8, tied=False), 9, quant="w4a8"),
        (X, noise([2, 3, 8])),
    ),
    "tied Joint": (
        Joint(
            JointConfig(dim=8), 9, embedding=layers.QuantEmbedding(9, 8, quant="w4"), quant="w4a8"
        ),
        (X, noise([2, 3, 8])),
    ),
    **{
        type(predictor(kind)).__name__: (predictor(kind), (LABELS,))
        for kind in ("averaged", "lookup", "lstm", "conformer")
    },
    "LogMel": (LogMel(FrontEndConfig(mel_bins=10, hop=100, window=300)), (noise([2, 800]),)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A layer with weights that are not those it starts with, and its inputs."""
    layer, inputs = CASES[request.param]
    if not layer.built:
        shapes = [x.shape for x in inputs if isinstance(x, np.ndarray)]
        layer.build(*shapes[: len(inspect.signature(layer.build).parameters)])
        rng = np.random.default_rng(1)
        for weight in layer.weights:
            weight.assign(weight + 0.3 * rng.standard_normal(weight.shape))
    return layer, inputs


def assert_same_outputs(one, other):
    for some, others in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True):
        np.testing.assert_array_equal(some, others)


def config_of(layer):
    """As a file holds it."""
    return json.loads(json.dumps(layer.get_config()))


def described(layer):
    return [(variable.path, variable.shape, variable.dtype) for variable in layer.variables]


def test_all_are_here():
    public = [getattr(package, name) for package in (layers, models) for name in package.__all__]
    wanted = {
        kind for kind in public if isinstance(kind, type) and issubclass(kind, keras.layers.Layer)
    }
    found = {type(layer) for layer, _ in CASES.values()}
    assert wanted - {Predictor, models.Transducer} <= found


def test_build_creates_all_weights(case):
    layer, inputs = case
    before = described(layer)
    layer(*inputs)
    if "training" in inspect.signature(layer.call).parameters:
        layer(*inputs, training=True)
    assert described(layer) == before


def test_its_config_has_each_argument_and_is_json(case):
    layer, _ = case
    parameters = inspect.signature(type(layer)).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = {parameter.name for parameter in parameters if parameter.kind in kinds}
    # Only that of another has a meaning.
    assert arguments - {"use_cudnn"} <= config_of(layer).keys()


def test_a_clone_is_the_same(case):
    layer, inputs = case
    clone = type(layer).from_config(config_of(layer))
    assert config_of(clone) == config_of(layer)
    expected = layer(*inputs)
    clone(*inputs)
    clone.set_weights(layer.get_weights())
    assert_same_outputs(clone(*inputs), expected)


def test_a_saved_model_computes_the_same(case, tmp_path):
    layer, inputs = case
    given = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype), inputs)
    model = keras.Model(keras.tree.flatten(given), layer(*given))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    flat = keras.tree.flatten(inputs)
    assert_same_outputs(loaded(flat), layer(*inputs))
