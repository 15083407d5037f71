import re

import keras
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from int4_conformer.errors import UserError
from int4_conformer.export import export_keras_tflite, trial
from int4_conformer.layers import QuantDense, QuantLSTM
from int4_conformer.quantize import quantize_model
from tests.support.examples import heavy

RNG = np.random.default_rng(0)
# Batches and lengths that no export tries.
SHAPES = [(3, 5), (1, 11), (4, 1)]


def sequential(*layers, time=None):
    return keras.Sequential([keras.Input([time, 8]), *layers])


def run(path, x):
    runner = litert.Interpreter(str(path)).get_signature_runner("serving_default")
    (outputs,) = runner(inputs=x).values()
    return outputs


@pytest.mark.parametrize(
    ("time", "recipe"), [(None, "w4c_a8d"), (6, "float"), *heavy((None, "float"), (6, "w4c_a8d"))]
)
def test_a_file_that_does_not_run_is_not_written(tmp_path, time, recipe):
    # The loop over time of a layer that has no counterpart.
    loop = keras.layers.GRU(8, return_sequences=True, name="gru")
    model = sequential(loop, QuantDense(4, quant=recipe), time=time)
    complaint = (
        r"LiteRT cannot run 'sequential\w*' on inputs \[1, \d, 8\] \(.*WHILE.*\); give gru "
        r"\(GRU\) unroll=True and Input a fixed length, or .*QuantLSTM .* Nothing was written\."
    )
    with pytest.raises(UserError, match=complaint):
        export_keras_tflite(model, tmp_path / "model.tflite", batch_size=1)
    assert list(tmp_path.iterdir()) == []


def test_what_it_advises_runs(tmp_path):
    loop = keras.layers.GRU(8, return_sequences=True, unroll=True, name="gru")
    model, path = sequential(loop, keras.layers.Dense(4), time=6), tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    x = RNG.standard_normal([3, 6, 8]).astype(np.float32)
    np.testing.assert_allclose(run(path, x), model(x), rtol=1e-5, atol=1e-5)


SEQUENCES, BACKWARDS = ({"return_sequences": True, "go_backwards": x} for x in (False, True))


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        *[("float", {}), ("w8a8", BACKWARDS)],
        *heavy(("w8a8", {}), ("w8a8", SEQUENCES), ("float", SEQUENCES), ("float", BACKWARDS)),
    ],
    ids=str,
)
def test_our_lstm_runs_at_any_length(tmp_path, recipe, options):
    model, path = sequential(QuantLSTM(8, quant=recipe, **options)), tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    for batch, time in SHAPES:
        x = RNG.standard_normal([batch, time, 8]).astype(np.float32)
        np.testing.assert_allclose(run(path, x), model(x), rtol=1e-4, atol=1e-5)


def test_bidirectional_sequences_run_at_any_length(tmp_path):
    lstm = keras.layers.LSTM(5, return_sequences=True)
    model = quantize_model(sequential(keras.layers.Bidirectional(lstm)), "w4c_a8d")
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    for batch, time in SHAPES:
        x = RNG.standard_normal([batch, time, 8]).astype(np.float32)
        np.testing.assert_allclose(run(path, x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"return_sequences": True}, *heavy({})], ids=str)
def test_padding_is_left_out(tmp_path, options):
    ids = keras.Input([None], dtype="int32")
    x = keras.layers.Embedding(9, 8, mask_zero=True)(ids)
    lstm = keras.layers.LSTM(5, **options)
    y = keras.layers.Bidirectional(lstm)(x)
    model = quantize_model(keras.Model(ids, y), "w8c_a8d")
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    x = np.array([[1, 2, 3, 4, 5], [0, 6, 0, 7, 0]], np.int32)
    np.testing.assert_allclose(run(path, x), model(x), rtol=1e-4, atol=1e-5)


def test_lengths_that_the_model_itself_does_not_take_are_no_fault(tmp_path):
    model = sequential(keras.layers.Conv1D(4, 9, strides=3), keras.layers.Conv1D(4, 5))
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    x = RNG.standard_normal([2, 40, 8]).astype(np.float32)
    np.testing.assert_allclose(run(path, x), model(x), rtol=1e-4, atol=1e-4)


def test_a_model_that_takes_none_of_the_lengths(tmp_path):
    model = sequential(keras.layers.Conv1D(4, 600, padding="valid"), keras.layers.Dense(2))
    with pytest.warns(UserWarning, match="takes none of the lengths 1, 2, 7, 32, 128, 512,"):
        export_keras_tflite(model, tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").exists()


def test_what_runs_with_builtin_kernels_alone_is_said(tmp_path, monkeypatch):
    """No model is known of which this holds today."""
    real = trial._runner

    def runner(content, signature, delegate):
        if delegate == "xnnpack":
            raise RuntimeError("no such\nkernel")
        return real(content, signature, delegate)

    monkeypatch.setattr(trial, "_runner", runner)
    model = sequential(QuantDense(4, quant="w4a8"), time=6)
    complaint = "with XNNPACK, its default, although its builtin kernels can (no such kernel)"
    with pytest.raises(UserError, match=re.escape(complaint)):
        export_keras_tflite(model, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []
