"""Honest files of several kinds, and files with something wrong, beside their models."""

import dataclasses
import functools

import numpy as np
import pytest
from ai_edge_quantizer import model_modifier

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.export import recognizer_tflite
from int4_conformer.export.forward_comparison import BOUND, LOOP_BOUND
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.export.recognizer_verification import made_up_sound, verify_recognizer
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.tflite import flatbuffer, metadata
from int4_conformer.training.exported_model import load_exported
from tests.support import exports, pairs, tiny
from tests.support.examples import heavy

MIXED = Recipe.mixed("mixed", ["predictor/.*"])
QC4W, QC8W = (f"Fully Connected (NC, QD8, F32, {kind})" for kind in ("QC4W", "QC8W"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Gives a model and the content of its file; each is made once."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(kind):
        model = kind() if callable(kind) else tiny.shared_model(kind)
        path = folder / f"{len(list(folder.iterdir()))}.tflite"
        export_tflite(model, tiny.TOKENIZER, path)
        return model, path.read_bytes()

    return export


def cascade():
    """Streams of two passes, with a loop in its predictor."""
    return pairs.built("cascade", "lstm", pairs.W4A8)


def lstm():
    """An encoder that is a loop over time."""
    return pairs.built("lstm", "averaged", pairs.W8A8)


def blocks():
    """Weights in blocks of 32, where these divide the inputs."""
    config = QuantConfig.from_name("w4b32_a8d")
    wide = dataclasses.replace(tiny.ENCODER, dim=32)
    rules = (("encoder/block_0/ffn_.*", config), (".*", QuantConfig()))
    recipe = Recipe(name="blocks", rules=rules)
    model = Transducer(dataclasses.replace(tiny.config(recipe), encoder=wide))
    model.build()
    return model


def fixed():
    return tiny.shared_model("w4a8")


KINDS = [
    ("w4a8", {QC4W}),
    *(
        pytest.param(kind, kernels, marks=pytest.mark.heavy)
        for kind, kernels in [
            # Its rows are unsigned on some CPUs.
            ("w2a8", {"QC2W"}),
            (cascade, {QC4W}),
            ("float", set()),
            ("w8a8", {QC8W}),
            ("w4a8sym", {"FULLY_CONNECTED"}),
            ("w4a4sym", set()),
            ("w4", set()),
            (MIXED, {QC4W, QC8W}),
            (lstm, {QC8W}),
            (blocks, {"QB4W"}),
        ]
    ),
]


@pytest.mark.heavy
@pytest.mark.parametrize("kind", [cascade, lstm, blocks], ids=lambda kind: kind.__name__)
def test_files_give_their_models_back(exported, kind, tmp_path):
    model, content = exported(kind)
    (tmp_path / "model.tflite").write_bytes(content)
    exports.assert_weights_alike(load_exported(tmp_path / "model.tflite")[0], model)


@pytest.mark.parametrize(
    ("kind", "kernels"), KINDS, ids=lambda kind: getattr(kind, "__name__", str(kind)[:12])
)
def test_honest_files(exported, kind, kernels):
    model, content = exported(kind)
    found = verify_recognizer(content, model, [made_up_sound(0.5, 16000), tiny.speech(16)])
    assert found.differences == ()
    assert {
        name[-5:-1] if name.endswith(("QB4W)", "QC2W)")) else name for name in found.kernels
    } == kernels
    bits = {config.weight_bits for _, config in model.config.recipe.rules if config.weight_bits}
    assert set(found.weights) == bits
    by_name = {x.signature: x for x in found.signatures}
    names = {interface.SERVING_DEFAULT, interface.PREDICT, interface.JOIN}
    assert names <= by_name.keys()
    for signature in found.signatures:
        assert signature.distance <= BOUND
        assert signature.loop_distance <= LOOP_BOUND
        assert signature.agreement.largest_flip <= 1
        # Flips are as rare as rounding makes them.
        assert signature.agreement.flipped <= 1 + 1e-3 * signature.agreement.codes
    if kernels and kind != "w4a8sym":
        assert by_name[interface.SERVING_DEFAULT].agreement.codes > 1000
    if kind is cascade:
        # Segments, and what is left at the end of each utterance.
        assert by_name[interface.FIRST_PASS].calls > 3
        assert by_name[interface.SECOND_PASS].calls > 1


@pytest.mark.heavy
def test_a_file_of_a_fixed_length(tmp_path):
    path, model = tmp_path / "fixed.tflite", tiny.shared_model("w4a8")
    export_tflite(model, tiny.TOKENIZER, path, fixed_seconds=1.0)
    found = verify_recognizer(path.read_bytes(), model, [tiny.speech(10), tiny.speech(60)])
    assert found.differences == ()


def changed(content, change):
    """The file after `change` of its parsed model, sealed again."""
    model = flatbuffer.load(content)
    change(model)
    return metadata.seal(bytes(model_modifier.ModelModifier(model).modify_model({})))


def constant(model, name):
    """The first tensor of a name, and its values, which may be changed."""
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.name.decode().partition("@")[0] == name:
                buffer = model.buffers[tensor.buffer]
                buffer.data = buffer.data.copy()
                return tensor, buffer.data
    raise AssertionError(name)


WEIGHT = "encoder/block_0/ffn_start/up/kernel"


def flip_code(model):
    _, values = constant(model, WEIGHT)
    values[3] ^= 1


def scale_up(model):
    tensor, _ = constant(model, WEIGHT)
    scale = tensor.quantization.scale.copy()
    scale[0] *= np.float32(1 + 1e-4)
    tensor.quantization.scale = scale


def change_bias(model):
    """Of what no name tells whose it is."""
    for operator in model.subgraphs[0].operators:
        if len(operator.inputs) == 3 and operator.inputs[2] > 0:
            bias = model.subgraphs[0].tensors[operator.inputs[2]]
            data = model.buffers[bias.buffer].data
            if data is not None and bias.type == 0:
                values = data.view(np.float32).copy()
                values += 0.01
                model.buffers[bias.buffer].data = values.view(np.uint8)
                return


def test_one_changed_code(exported):
    model, content = exported("w4a8")
    found = verify_recognizer(changed(content, flip_code), model, quick=True)
    assert f"codes of {WEIGHT} differ" in found.differences
    assert found.unequal == {WEIGHT}
    # It shows in what is computed, too.
    assert any("is off by" in line or "other activations" in line for line in found.differences)


def test_one_changed_scale(exported):
    model, content = exported("w4a8")
    found = verify_recognizer(changed(content, scale_up), model, quick=True)
    assert f"scales of {WEIGHT} differ" in found.weight_differences


@pytest.mark.parametrize("kind", ["w4a8", *heavy("float")])
def test_what_no_weight_tells_shows_in_the_outputs(exported, kind):
    model, content = exported(kind)
    found = verify_recognizer(changed(content, change_bias), model, quick=True)
    assert found.weight_differences == found.kernel_differences == ()
    assert found.differences


def test_another_model(exported):
    _, content = exported("w4a8")
    other = tiny.model("w4a8")
    for variable in other.trainable_variables:
        variable.assign(0.7 * variable + 0.01)
    found = verify_recognizer(content, other, quick=True)
    names = {name for weights in found.weights.values() for name in weights}
    assert names <= found.unequal


def test_an_export_that_goes_wrong_is_not_written(tmp_path, monkeypatch):
    """Nothing is known that makes one go wrong, but for a defect of this package."""
    path = tmp_path / "model.tflite"
    verify = recognizer_tflite.verify_recognizer
    monkeypatch.setattr(
        recognizer_tflite,
        "verify_recognizer",
        lambda content, model, **form: verify(changed(content, change_bias), model, **form),
    )
    with pytest.raises(UserError, match=r"does not compute what the model does: .*not written"):
        export_tflite(tiny.shared_model("w4a8"), tiny.TOKENIZER, path, verifies=True)
    assert list(tmp_path.iterdir()) == []


def test_the_sound_is_the_same_each_time():
    first, second = (made_up_sound(0.5, 16000) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert 0.1 < np.abs(first).max() < 1
