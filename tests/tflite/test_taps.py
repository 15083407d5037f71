import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_lstm import QuantLSTM
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.taps import tap
from tests.support import twins

RNG = np.random.default_rng(0)


def layers(scheme):
    """Two dense layers after one another."""
    return keras.Sequential(
        [QuantDense(6, "relu", quant=scheme, name="up"), QuantDense(4, quant=scheme, name="down")],
        name="both",
    )


def run(content, x):
    runner = litert.Interpreter(model_content=content).get_signature_runner("serving_default")
    return runner(inputs=x)


@pytest.mark.parametrize("scheme", ["w4c_a8d", "w4c_a8static"])
def test_what_matmuls_are_given(scheme):
    x, both = RNG.standard_normal([5, 8]).astype(np.float32), layers(scheme)
    both(x, training=True)
    content = twins.packed(both, x)
    names = ["both/up/kernel", "both/down/kernel"]
    tapped, taps = tap(flatbuffer.load(content), names)
    (found,) = taps.values()
    assert [t.weight for t in found] == names
    outputs = run(tapped, x)
    for name, expected in run(content, x).items():
        np.testing.assert_array_equal(outputs[name], expected)
    up, down = (outputs[t.output] for t in found)
    if scheme == "w4c_a8d":
        assert found[0].scale is None
        np.testing.assert_array_equal(up, x)
        np.testing.assert_allclose(down, both.layers[0](x), rtol=1e-5, atol=1e-6)
        return
    assert up.dtype == down.dtype == np.int8
    values = (up.astype(np.float32) - found[0].zero_point) * np.float32(found[0].scale)
    np.testing.assert_allclose(values, x, atol=found[0].scale / 2 + 1e-6)


def test_only_what_is_asked_for():
    x = RNG.standard_normal([5, 8]).astype(np.float32)
    content = twins.packed(layers("w4c_a8d"), x)
    tapped, taps = tap(flatbuffer.load(content), ["both/down/kernel", "other"])
    assert [t.weight for t in taps["serving_default"]] == ["both/down/kernel"]
    assert len(run(tapped, x)) == 2


def test_nothing_of_loops():
    x = RNG.standard_normal([1, 7, 8]).astype(np.float32)
    content = twins.packed(QuantLSTM(4, return_sequences=True, quant="w8c_a8d", name="lstm"), x)
    names = {c.name.partition("@")[0] for c in flatbuffer.constants(flatbuffer.load(content))}
    _, taps = tap(flatbuffer.load(content), names)
    (found,) = taps["serving_default"]
    assert found.weight.endswith("/kernel")
    assert "recurrent" not in found.weight
