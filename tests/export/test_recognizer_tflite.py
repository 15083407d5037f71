import functools
import json
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import model_modifier, recipe
from ai_edge_quantizer.quantizer import Quantizer

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.layers.paths import by_path
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.words import Token, timed_words
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.inspection import inspect_tflite
from int4_conformer.tflite.metadata import read
from int4_conformer.tflite.verification import verify
from int4_conformer.training.exported_model import load_exported
from tests.quant import reference
from tests.support import exports, tiny
from tests.support.examples import heavy

# One recogniser has an output layer of its own, and one was trained with a CTC head.
UNTIED = "w8a8"
WITH_CTC = tiny.TWO_FOUR_EIGHT
RECIPES = [
    *("w4a8", UNTIED, "float", WITH_CTC),
    *heavy(tiny.ENCODER_ALONE, "w2a8", "w4a8sym", "w4a4sym", "w4"),
]
TABLE = "predictor/embedding/embeddings"


def model_of(recipe):
    if recipe is WITH_CTC:
        return tiny.model(recipe, ctc=True)
    return tiny.shared_model(recipe, recipe != UNTIED)


def weights_of(recipe):
    return tiny.shared_weights(recipe, recipe != UNTIED)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Gives the model of a recipe and its exported file; each is made once."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(recipe):
        model = model_of(recipe)
        path = folder / f"{model.config.recipe.name}.tflite"
        export_tflite(model, tiny.TOKENIZER, path)
        return model, path

    return export


def constants(path):
    return list(flatbuffer.constants(flatbuffer.load(path.read_bytes())))


def named(path, name):
    """The constants of a weight in all subgraphs."""
    return [c for c in constants(path) if c.name.partition("@")[0] == name]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: getattr(recipe, "name", recipe))
def test_tokens_are_those_of_the_model(exported, recipe):
    model, path = exported(recipe)
    recognizer = Recognizer(path, gated=False)
    lengths = set()
    recognize = tiny.recognition(model)
    for seed, blocks in enumerate((1, 2, 25, 60)):
        pcm = tiny.speech(blocks, seed)
        expected = recognize(pcm)
        np.testing.assert_array_equal(recognizer.tokens(pcm), expected)
        lengths.add(expected.size)
    # The model neither is silent nor says all that it may in every frame.
    assert 0 < max(lengths) < 60 * model.config.max_symbols_per_frame


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: getattr(recipe, "name", recipe))
def test_a_file_gives_its_model_back(exported, recipe):
    model, path = exported(recipe)
    found, tokenizer = load_exported(path)
    assert tokenizer == tiny.TOKENIZER
    exports.assert_weights_alike(found, model)


@pytest.mark.heavy
def test_a_file_of_static_activations_gives_its_biases_back(tmp_path):
    model, path = tiny.model("w4c_a8static"), tmp_path / "static.tflite"
    for name, variable in by_path(model).items():
        if name.endswith("_range"):
            variable.assign([-6.0, 6.0])
    export_tflite(model, tiny.TOKENIZER, path)
    exports.assert_weights_alike(load_exported(path)[0], model)


def test_a_round_of_the_search_has_few_operators(exported):
    """Calling one takes LiteRT as long as most of them take."""
    _, path = exported("w4a8")
    model = flatbuffer.load(path.read_bytes())
    bodies = {
        operator.builtinOptions.bodySubgraphIndex
        for subgraph in model.subgraphs
        for operator in subgraph.operators
        if isinstance(operator.builtinOptions, schema.WhileOptionsT)
    }
    assert bodies
    for number in bodies:
        body = [x.name for x in flatbuffer.operators(model) if x.subgraph == number]
        assert len(body) <= 80
        # LiteRT's own takes ten times as long as XNNPACK's SOFTMAX.
        assert "LOG_SOFTMAX" not in body
        assert "SOFTMAX" in body


@pytest.mark.parametrize("recipe", ["w4a8", *heavy("float")])
def test_words_have_the_times_and_confidence_of_the_model(exported, recipe):
    model, path = exported(recipe)
    pcm = tiny.speech(60)
    found = model.recognize(pcm[None])
    tokens = [
        Token(id=int(i), frame=int(frame), log_prob=float(log_prob))
        for i, frame, log_prob, _ in zip(
            found.ids[0], found.frames[0], found.log_probs[0], range(found.count[0]), strict=False
        )
    ]
    expected = timed_words(tiny.TOKENIZER.vocabulary, tokens, 0.04)
    words = Recognizer(path, gated=False).recognize(pcm).words
    assert [(w.text, w.start, w.end) for w in words] == [(w.text, w.start, w.end) for w in expected]
    assert [w.confidence for w in words] == pytest.approx(
        [w.confidence for w in expected], abs=0.01
    )
    assert words


@pytest.mark.parametrize("recipe", ["w4a8", "w8a8", *heavy("w2a8", "w4a4sym", "w4")])
def test_integers_are_those_of_the_checkpoint(exported, recipe):
    model, path = exported(recipe)
    bits = model.config.recipe.rules[0][1].weight_bits
    checked = 0
    for variable in model.trainable_variables:
        name = variable.path.removeprefix("test/")
        if not name.endswith(("/kernel", TABLE)):
            continue
        value = variable.numpy() if name == TABLE else variable.numpy().T
        codes, scale = reference.quantize(value, bits, axes=(1,))
        assert named(path, name)
        for constant in named(path, name):
            assert constant.dtype == f"int{bits}"
            # Zeros fill the last byte of a row.
            np.testing.assert_array_equal(constant.values()[:, : codes.shape[1]], codes)
            assert not constant.values()[:, codes.shape[1] :].any()
            np.testing.assert_array_equal(constant.scale, scale[:, 0])
        # Neither the float weight nor its on_grid twin is left.
        for constant in constants(path):
            if constant.dtype == "float32" and constant.size == value.size:
                for left in (value, codes * scale):
                    assert not np.allclose(
                        np.sort(constant.values().ravel()), np.sort(left.ravel())
                    )
        checked += 1
    assert checked == len(weights_of(recipe)) == (16 if recipe == UNTIED else 15)


def test_each_weight_has_the_type_of_its_bits(exported):
    _, path = exported(tiny.TWO_FOUR_EIGHT)
    types = {"int2": 0, "int4": 0, "int8": 0}
    for weight in weights_of(tiny.TWO_FOUR_EIGHT):
        (dtype,) = {constant.dtype for constant in named(path, weight.name)}
        assert dtype == f"int{weight.bits}"
        assert all(c.size == 8 * c.nbytes // weight.bits for c in named(path, weight.name))
        types[dtype] += 1
    assert min(types.values()) > 0
    assert {
        constant.dtype for constant in named(path, "encoder/block_0/convolution/up/kernel")
    } == {"float32"}


@pytest.mark.heavy
def test_2_bits_make_the_smaller_file(exported):
    """By half of the bytes of the codes, and no other."""
    two, four = (inspect_tflite(exported(recipe)[1]) for recipe in ("w2a8", "w4a8"))
    (twos,) = [total for total in two.totals if total.dtype == "int2"]
    (fours,) = [total for total in four.totals if total.dtype == "int4"]
    assert (twos.values, twos.nbytes) == (fours.values, fours.nbytes / 2)
    assert four.total_bytes - two.total_bytes == pytest.approx(twos.nbytes, abs=100)


def test_a_tied_table_is_stored_once(exported):
    _, path = exported("w4a8")
    tables = named(path, TABLE)
    assert len({constant.buffer for constant in tables}) == 1
    of_its_size = [c for c in constants(path) if c.size == tables[0].size and c.dtype == "int4"]
    assert {constant.buffer for constant in of_its_size} == {tables[0].buffer}
    assert not named(path, "joint/output/kernel")
    assert named(exported(UNTIED)[1], "joint/output/kernel")


@pytest.mark.parametrize("recipe", ["w4a8", "w8a8", *heavy("w4a8sym")])
def test_every_quantized_matmul_is_a_fully_connected(exported, recipe):
    _, path = exported(recipe)
    parsed = flatbuffer.load(path.read_bytes())
    operators = list(flatbuffer.operators(parsed))
    quantized = {
        (constant.subgraph, constant.name.partition("@")[0])
        for constant in flatbuffer.constants(parsed)
        if constant.dtype in ("int4", "int8") and constant.size > 1
    }
    assert {name for _, name in quantized} == {weight.name for weight in weights_of(recipe)}
    assert not [operator for operator in operators if operator.name == "DEQUANTIZE"]
    connected = [operator for operator in operators if operator.name == "FULLY_CONNECTED"]
    assert len(connected) >= len(weights_of(recipe))
    assert [operator for operator in operators if operator.name == "EMBEDDING_LOOKUP"]


@pytest.mark.parametrize(
    ("recipe", "delegate"),
    [("w4a8", "xnnpack"), ("float", "xnnpack"), *heavy(("w4a8sym", "none"))],
)
def test_metadata(exported, recipe, delegate):
    model, path = exported(recipe)
    facts = read(path.read_bytes())
    assert (facts.recipe, facts.delegate) == (recipe, delegate)
    assert (facts.sample_rate, facts.block_samples, facts.frame_samples) == (16000, 640, 640)
    assert facts.vocabulary == tiny.TOKENIZER.vocabulary
    assert facts.model == json.loads(json.dumps(model.config.to_config()))


def test_4_bits_make_the_smaller_file(exported):
    small, large = (exported(recipe)[1].stat().st_size for recipe in ("w4a8", "float"))
    codes = sum(weight.codes.size for weight in weights_of("w4a8"))
    # Half a byte for four; scales and zero points cost a little again.
    assert large - small == pytest.approx(3.5 * codes, rel=0.2)


@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_code_in_the_file_is_refused(exported, place):
    _, path = exported("w4a8")
    content = bytearray(path.read_bytes())
    weights = weights_of("w4a8")
    verify(bytes(content), weights)
    constant = named(path, "encoder/block_0/ffn_start/up/kernel")[0]
    start = bytes(content).index(constant.data.tobytes())
    content[start + place % constant.nbytes] ^= 1
    with pytest.raises(UserError, match=r"codes of encoder/block_0/ffn_start/up/kernel differ"):
        verify(bytes(content), weights)
    with pytest.raises(UserError, match="is damaged: its SHA-256"):
        read(bytes(content))


def test_one_changed_scale_in_the_file_is_refused(exported):
    _, path = exported("w4a8")
    content = bytearray(path.read_bytes())
    constant = named(path, "joint/encoder/kernel")[0]
    start = bytes(content).index(constant.scale.tobytes())
    content[start] ^= 1
    with pytest.raises(UserError, match="scales of joint/encoder/kernel differ"):
        verify(bytes(content), weights_of("w4a8"))


@pytest.mark.heavy
def test_symmetric_beside_asymmetric(tmp_path):
    symmetric, asymmetric = (
        QuantConfig(weight_bits=4, activation=scheme)
        for scheme in ("int8_symmetric", "int8_asymmetric")
    )
    recipe = Recipe(name="mixed", rules=(("encoder/.*", symmetric), (".*", asymmetric)))
    with pytest.raises(UserError, match="both symmetric and asymmetric int8 activations"):
        export_tflite(tiny.model(recipe), tiny.TOKENIZER, tmp_path / "mixed.tflite")
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_the_file(exported, tmp_path):
    model, _ = exported("float")
    for path, complaint in [
        (tmp_path, "is a folder; name the file"),
        (Path(__file__) / "m.tflite", "is no folder; choose another path"),
    ]:
        with pytest.raises(UserError, match=complaint):
            export_tflite(model, tiny.TOKENIZER, path)


def test_a_tied_file_has_the_values_of_the_table_fewer(exported):
    held = []
    for model, path in (exported("w4a8"), exported(UNTIED)):
        quantized = [c for c in constants(path) if c.dtype in ("int4", "int8") and c.size > 1]
        # Each buffer once, however many tensors read it.
        buffers = {constant.buffer: constant.size for constant in quantized}
        held.append((model.count_params(), sum(buffers.values())))
    fewer = np.subtract(held[1], held[0])
    np.testing.assert_array_equal(fewer, tiny.TOKENIZER.vocabulary.size * tiny.JOINT_DIM)


def test_a_ctc_head_is_not_exported(exported):
    model, path = exported(WITH_CTC)
    assert len(model.ctc_heads) == 1
    assert not any("ctc" in constant.name for constant in constants(path))


@pytest.mark.parametrize("recipe", ["float", "w4a8"])
def test_each_tensor_has_a_name_of_its_own(exported, recipe):
    model, path = exported(recipe)
    parsed = flatbuffer.load(path.read_bytes())
    tensors = [tensor for subgraph in parsed.subgraphs for tensor in subgraph.tensors]
    names = {tensor.name.decode() for tensor in tensors}
    assert len(names) == len(tensors)
    assert "" not in names
    kernels = {name for name in by_path(model) if name.endswith("/kernel")}
    assert kernels
    assert kernels <= names
    assert {name.removesuffix("/kernel") for name in kernels} <= names
    # Those of activations cost little.
    named = model_modifier.ModelModifier(parsed).modify_model({})
    for tensor in tensors:
        if parsed.buffers[tensor.buffer].data is None:
            tensor.name = b""
    nameless = model_modifier.ModelModifier(parsed).modify_model({})
    assert len(nameless) < len(named) < 1.05 * len(nameless)


@pytest.mark.parametrize("name", ["dynamic_wi8_afp32", "dynamic_wi4_afp32"])
def test_the_float_file_can_be_given_to_ai_edge_quantizer(exported, name):
    _, path = exported("float")
    quantized = Quantizer(str(path), getattr(recipe, name)()).quantize().quantized_model
    types = {c.dtype for c in flatbuffer.constants(flatbuffer.load(bytes(quantized)))}
    assert ("int8" if "wi8" in name else "int4") in types
    pcm = tiny.speech(12)
    encoded, expected = (
        litert.Interpreter(model_content=bytes(content)).get_signature_runner("encode")(pcm=pcm)[
            "encoded"
        ]
        for content in (quantized, path.read_bytes())
    )
    error = np.linalg.norm(encoded - expected) / np.linalg.norm(expected)
    assert 0 < error < (0.3 if "wi8" in name else 1.0)


def test_signatures_say_which_sizes_are_open(exported):
    _, path = exported("w4a8")
    interpreter = litert.Interpreter(str(path))
    for name in (interface.SERVING_DEFAULT, interface.ENCODE):
        details = interpreter.get_signature_runner(name).get_input_details()
        assert details[interface.PCM]["shape_signature"].tolist() == [-1]
    details = interpreter.get_signature_runner(interface.JOIN).get_input_details()
    assert all(np.all(detail["shape_signature"] > 0) for detail in details.values())


def test_every_buffer_of_a_file_is_used(exported):
    _, path = exported("w4a8")
    parsed = flatbuffer.load(path.read_bytes())
    tensors = [tensor for subgraph in parsed.subgraphs for tensor in subgraph.tensors]
    used = {0, *(x.buffer for x in tensors), *(x.buffer for x in parsed.metadata)}
    assert used == set(range(len(parsed.buffers)))
