import collections
import functools

import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.export import export_keras_tflite
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_lstm import QuantLSTM
from int4_conformer.tflite import flatbuffer, kernel_profile
from int4_conformer.tflite.kernel_profile import profile
from int4_conformer.tflite.matmul_kernels import integer_matmuls, on_integer_kernels
from tests.support import tflite_models, twins
from tests.support.examples import heavy

NAME = interface.SERVING_DEFAULT
Counter = collections.Counter


@functools.cache
def dense(scheme):
    """The file of a layer, its inputs, and whether they could be static."""
    layer = QuantDense(6, quant=scheme, name="dense")
    x = np.random.default_rng(0).standard_normal([5, 64]).astype(np.float32)
    if scheme.endswith("static"):
        layer(x, training=True)
    return twins.packed(layer, x), {"inputs": x}


def test_any_length(tmp_path):
    model = keras.Sequential(
        [keras.Input([None, 8]), QuantLSTM(4, return_sequences=True, quant="w8c_a8d")]
    )
    path = tmp_path / "lstm.tflite"
    export_keras_tflite(model, path, batch_size=1)
    runner = litert.Interpreter(str(path)).get_signature_runner(NAME)
    for time in (19, 7):
        x = np.random.default_rng(0).standard_normal([1, time, 8]).astype(np.float32)
        found, expected = profile(path.read_bytes(), NAME, {"inputs": x}).outputs, runner(inputs=x)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    ("scheme", "kernel"),
    [
        ("w4c_a8d", "Fully Connected (NC, QD8, F32, QC4W)"),
        ("w2c_a8d", "F32, QC2W)"),
        ("w8c_a8static", "Fully Connected (NC, QS8, QC8W)"),
        ("w4b32_a8d", "QB4W)"),
        ("w4c_a8dsym", "FULLY_CONNECTED"),
        # Those of 8 bits are in the loop below, too.
        *heavy(
            ("w8c_a8d", "Fully Connected (NC, QD8, F32, QC8W)"),
            ("w4c_a8static", "Fully Connected (NC, QS8, QC4W)"),
        ),
    ],
)
def test_integer_weights_are_on_integer_kernels(scheme, kernel):
    content, inputs = dense(scheme)
    delegate = "none" if scheme.endswith("sym") else "xnnpack"
    found = profile(content, NAME, inputs, delegate)
    matmuls = integer_matmuls(flatbuffer.load(content))
    ran = on_integer_kernels(matmuls, found.kernels, delegate)
    assert list(ran.values()) == [1]
    assert next(iter(ran)).endswith(kernel)
    kernels = litert.OpResolverType.BUILTIN
    if delegate == "none":
        kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    file = litert.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    (expected,) = file.get_signature_runner(NAME)(**inputs).values()
    (outputs,) = found.outputs.values()
    np.testing.assert_array_equal(outputs, expected)


def test_without_xnnpack_they_are_not():
    content, inputs = dense("w4c_a8d")
    found = profile(content, NAME, inputs, "none")
    matmuls = integer_matmuls(flatbuffer.load(content))
    assert on_integer_kernels(matmuls, found.kernels, "xnnpack") == Counter({"FULLY_CONNECTED": 1})


@pytest.mark.parametrize(
    ("scheme", "kernel"),
    [("w4c", "FULLY_CONNECTED"), ("float", "Fully Connected (NC, F32) GEMM")],
)
def test_float_activations_have_no_integer_matmul(scheme, kernel):
    content, inputs = dense(scheme)
    assert integer_matmuls(flatbuffer.load(content)) == {}
    found = profile(content, NAME, inputs)
    ((kernels,), (microseconds,)) = found.kernels.values(), found.microseconds.values()
    assert kernels[kernel] == 1
    assert microseconds.keys() == kernels.keys()
    assert 0 <= min(microseconds.values()) <= max(microseconds.values()) < 1e6


def test_the_body_of_a_loop():
    x = np.random.default_rng(0).standard_normal([1, 7, 8]).astype(np.float32)
    content = twins.packed(QuantLSTM(4, return_sequences=True, quant="w8c_a8d", name="lstm"), x)
    matmuls = integer_matmuls(flatbuffer.load(content))
    assert len(matmuls) == 2
    found = profile(content, NAME, {"inputs": x})
    ran = on_integer_kernels(matmuls, found.kernels, "xnnpack")
    assert ran == Counter({"Fully Connected (NC, QD8, F32, QC8W)": 2})


QC4W, QC8W = (f"Fully Connected (NC, QD8, F32, {kind})" for kind in ("QC4W", "QC8W"))


@pytest.mark.parametrize(
    ("matmuls", "kernels", "ran"),
    [
        # Three rounds of a loop.
        ({0: {"int4": 2}}, {0: {f"{QC4W} GEMM": 6}}, {QC4W: 2}),
        ({0: {"int4": 2}}, {0: {f"{QC4W} GEMM": 1, f"{QC4W} IGEMM": 1}}, {QC4W: 2}),
        ({0: {"int4": 2, "int8": 1}}, {0: {QC4W: 2, QC8W: 1}}, {QC4W: 2, QC8W: 1}),
        # One of two is missing, in a round of two, or altogether.
        ({0: {"int4": 2}}, {0: {QC4W: 1, "FULLY_CONNECTED": 1}}, {"FULLY_CONNECTED": 2}),
        ({0: {"int4": 2}}, {0: {QC4W: 3}}, {"none": 2}),
        ({0: {"int4": 2}}, {0: {"Fully Connected (NC, F32) GEMM": 2}}, {"none": 2}),
        ({0: {"int4": 1, "int8": 1}}, {0: {QC4W: 2, QC8W: 1}}, {"none": 2}),
        # Of a subgraph that did not run, nothing is known.
        ({0: {"int4": 2}, 1: {"int4": 1}}, {0: {QC4W: 2}}, {QC4W: 2}),
    ],
)
def test_counting(matmuls, kernels, ran):
    matmuls, kernels = (
        {index: Counter(kinds) for index, kinds in x.items()} for x in (matmuls, kernels)
    )
    assert on_integer_kernels(matmuls, kernels, "xnnpack") == Counter(ran)


def test_other_kernels_of_the_same_kind():
    for name in ("QP8, F32", "QDU8, F32"):
        kernels = {0: Counter({f"Fully Connected (NC, {name}, QC4W) GEMM": 1})}
        ran = on_integer_kernels({0: Counter(int4=1)}, kernels, "xnnpack")
        assert ran == Counter({f"Fully Connected (NC, {name}, QC4W)": 1})


def test_refusals(monkeypatch, tmp_path):
    content = tflite_models.recognizer()
    with pytest.raises(UserError, match="has no signature 'other'"):
        profile(content, "other", {})
    monkeypatch.setattr(kernel_profile.ai_edge_litert, "__file__", str(tmp_path / "__init__.py"))
    kernel_profile._library.cache_clear()
    with pytest.raises(UserError, match=r"does not tell which kernels it runs .*ai-edge-litert 2"):
        profile(content, NAME, {})
    kernel_profile._library.cache_clear()
