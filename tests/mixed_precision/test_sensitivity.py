import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.mixed_precision.sensitivity import Probe
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.quantize import quantize_model
from tests.support import tiny

W4 = QuantConfig.from_name("w4c_a8d")
LAYERS = ("encoder/block_0/ffn_start/up", "predictor/embedding")


def batch(rows):
    """Two utterances of different lengths, and rows that only fill the batch."""
    pcm = np.zeros([rows, 640 * 6], np.float32)
    pcm[0], pcm[1, : 640 * 3] = tiny.speech(6), tiny.speech(3, seed=1)
    labels = np.zeros([rows, 4], np.int32)
    labels[:2, :2], labels[0, 2] = [[1, 2], [3, 1]], 4
    lengths = [[640 * 6, 640 * 3], [3, 2]]
    pcm_length, label_length = (np.pad(n, [0, rows - 2]).astype(np.int32) for n in lengths)
    return {
        name: tf.constant(value)
        for name, value in (
            ("pcm", pcm),
            ("pcm_length", pcm_length),
            ("labels", labels),
            ("label_length", label_length),
        )
    }


@pytest.fixture(scope="module")
def probe():
    return Probe(tiny.shared_model("float"), Recipe.preset("w4a8"))


def difference(selection):
    """The relative error, from models that are quantized in no other layer."""
    rules = tuple((path, W4) for path in selection)
    recipe = Recipe(name="test", rules=(*rules, (".*", QuantConfig())))
    quantized = quantize_model(tiny.shared_model("float"), recipe)
    wrong = whole = 0.0
    for row, frames, prefixes in ((0, 6, 4), (1, 3, 3)):
        inputs = {name: value[row : row + 1] for name, value in batch(2).items()}
        exact, found = (
            model(inputs).numpy()[0, :frames, :prefixes].astype(np.float64)
            for model in (tiny.shared_model("float"), quantized)
        )
        exact -= exact.mean(axis=-1, keepdims=True)
        found -= found.mean(axis=-1, keepdims=True)
        wrong, whole = wrong + np.sum((found - exact) ** 2), whole + np.sum(exact**2)
    return np.sqrt(wrong / whole)


def test_errors_are_of_the_selected_layers_alone(probe):
    selections = [[LAYERS[0]], [], [LAYERS[1]], LAYERS]
    errors = probe.errors([batch(2)], selections)
    assert errors == pytest.approx([difference(selection) for selection in selections], rel=1e-3)
    assert errors[0] > 0.001
    assert errors[1] == 0


def test_padding_does_not_count(probe):
    once = probe.errors([batch(2)], [[LAYERS[0]]])
    assert probe.errors([batch(2), batch(4)], [[LAYERS[0]]]) == pytest.approx(once, rel=1e-5)


def test_the_model_is_not_touched(probe):
    model = tiny.shared_model("float")
    before = [weight.numpy() for weight in model.weights]
    probe.errors([batch(2)], [LAYERS])
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_forward_passes_are_told(probe):
    told = []
    probe.errors([batch(2), batch(2)], [[], [LAYERS[0]]], lambda: told.append(None))
    assert len(told) == 4


def test_static_activations_are_refused():
    with pytest.raises(UserError, match="'w4c_a8static' has static activations, whose ranges only"):
        Probe(tiny.shared_model("float"), Recipe.preset("w4c_a8static"))
