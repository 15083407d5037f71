import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer.errors import UserError
from int4_conformer.export import export_keras_tflite, write_tflite
from int4_conformer.layers import (
    QuantConv1D,
    QuantDense,
    QuantDepthwiseConv1D,
    QuantEinsumDense,
    QuantEmbedding,
    QuantLSTM,
    QuantMultiHeadAttention,
)
from int4_conformer.quantize import quantize_model
from int4_conformer.tflite import flatbuffer
from tests.quant import reference
from tests.support.examples import heavy

RNG = np.random.default_rng(0)
X = RNG.standard_normal([5, 6, 8]).astype(np.float32)
IDS = RNG.integers(0, 11, [5, 6]).astype(np.int32)


def randomized(model):
    """The model with weights none of which is trivial."""
    keras.utils.set_random_seed(0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.path else -1.0
        weight.assign(keras.random.uniform(weight.shape, low, 1.0))
    return model


def sequential():
    return randomized(
        keras.Sequential(
            [
                keras.Input([6, 8]),
                QuantDense(16, "relu", quant="w4a8", name="hidden"),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.5),
                keras.layers.Flatten(),
                QuantDense(3, quant="w8a8", name="output"),
            ]
        )
    )


def attention(time):
    """A functional model: self-attention with a residual connection."""
    x = keras.Input([time, 8])
    normed = keras.layers.LayerNormalization()(x)
    y = QuantMultiHeadAttention(2, 4, quant="w4a8")(normed, normed)
    return randomized(keras.Model(x, x + y))


def towers():
    """Two models in one, with layers of the same names."""

    def tower(units):
        x = keras.Input([6, 8])
        hidden = QuantDense(units, "relu", quant="w4a8", name="hidden")(x)
        return keras.Model(x, QuantDense(8, quant="w4a8", name="output")(hidden))

    x = keras.Input([6, 8])
    return randomized(keras.Model(x, tower(16)(x) + tower(16)(x)))


def grouped():
    """A weight that is a matrix for each frame."""
    layer = QuantEinsumDense("btd,tdf->btf", [6, 4], quant="w4a8")
    return randomized(keras.Sequential([keras.Input([6, 8]), layer]))


def recurrent():
    layers = [
        QuantConv1D(6, 3, padding="same", quant="w4a8"),
        QuantDepthwiseConv1D(3, padding="same", quant="w8c"),
        QuantLSTM(8, quant="w8a8"),
    ]
    return randomized(keras.Sequential([keras.Input([6, 8]), *layers]))


def two_inputs():
    ids, x = keras.Input([6], name="ids", dtype="int32"), keras.Input([6, 8], name="x")
    table = QuantEmbedding(11, 8, quant="w4a8", name="table")
    y = keras.layers.Add()([table(ids), x])
    return randomized(
        keras.Model({"ids": ids, "x": x}, {"logits": QuantDense(3, quant="w4a8")(y), "sum": y})
    )


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = QuantEmbedding(11, 8, quant="w4a8", name="table")
        self.dense = QuantDense(3, quant="w4a8", name="dense")

    def call(self, x, ids=None):
        if isinstance(x, dict):
            x, ids = x["x"], x["ids"]
        return self.dense(x if ids is None else x + self.table(ids))


def run(path, **inputs):
    """The outputs of a file's signature for inputs by name, and the types of its weights."""
    interpreter = litert.Interpreter(str(path))
    return interpreter.get_signature_runner("serving_default")(**inputs)


def constants(path):
    found = flatbuffer.constants(flatbuffer.load(path.read_bytes()))
    return {constant.name: constant for constant in found}


MODELS = {
    "sequential": sequential,
    "functional": lambda: attention(6),
    "any length": lambda: attention(None),
    "nested": towers,
    "grouped": grouped,
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Gives a model of `MODELS` and its file; each is made once."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(name):
        model, path = MODELS[name](), folder / f"{name}.tflite"
        export_keras_tflite(model, path)
        return model, path

    return export


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [5, 1])
def test_the_file_computes_the_model_for_any_batch(exported, name, rows):
    model, path = exported(name)
    (outputs,) = run(path, inputs=X[:rows]).values()
    expected = model(X[:rows])
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


def test_its_integers_are_those_of_the_master_weights(exported):
    model, path = exported("sequential")
    for name, bits in (("hidden", 4), ("output", 8)):
        (constant,) = [c for key, c in constants(path).items() if key.endswith(f"{name}/kernel")]
        codes, scale = reference.quantize(model.get_layer(name).kernel.numpy(), bits, axes=(0,))
        assert constant.dtype == f"int{bits}"
        np.testing.assert_array_equal(constant.values(), codes.T)
        np.testing.assert_array_equal(constant.scale, scale[0])


def test_inputs_and_outputs_have_their_names(tmp_path):
    model, path = two_inputs(), tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    outputs = run(path, ids=IDS, x=X)
    expected = model({"ids": IDS, "x": X})
    assert outputs.keys() == {"logits", "sum"}
    for name, output in outputs.items():
        np.testing.assert_allclose(output, expected[name], rtol=1e-5, atol=1e-5)
    assert constants(path)["table/embeddings"].dtype == "int4"


def test_a_fixed_batch(tmp_path):
    path = tmp_path / "model.tflite"
    export_keras_tflite(sequential(), path, batch_size=5)
    interpreter = litert.Interpreter(str(path))
    (given,) = interpreter.get_input_details()
    assert list(given["shape"]) == list(given["shape_signature"]) == [5, 6, 8]


def test_a_subclassed_model_that_was_called(tmp_path):
    model, path = Subclassed(), tmp_path / "model.tflite"
    model(X)
    randomized(model)
    export_keras_tflite(model, path)
    (outputs,) = run(path, inputs=X[:2]).values()
    np.testing.assert_allclose(outputs, model(X[:2]), rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_of_named_inputs(tmp_path):
    model, path = Subclassed(), tmp_path / "model.tflite"
    inputs = {"x": X[:2], "ids": IDS[:2].astype(np.float32)}
    model(inputs)
    randomized(model)
    export_keras_tflite(model, path)
    (outputs,) = run(path, **inputs).values()
    np.testing.assert_allclose(outputs, model(inputs), rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_of_two_arguments(tmp_path):
    model, path = Subclassed(), tmp_path / "model.tflite"
    model(X, IDS)
    randomized(model)
    specs = [tf.TensorSpec([None, 6, 8], name="x"), tf.TensorSpec([None, 6], tf.int32, "ids")]
    export_keras_tflite(model, path, input_signature=specs, batch_size=2)
    (outputs,) = run(path, x=X[:2], ids=IDS[:2]).values()
    np.testing.assert_allclose(outputs, model(X[:2], IDS[:2]), rtol=1e-5, atol=1e-5)


def test_a_model_without_quantized_layers_stays_float(tmp_path):
    model = randomized(keras.Sequential([keras.Input([6, 8]), keras.layers.Dense(4)]))
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    (outputs,) = run(path, inputs=X).values()
    np.testing.assert_allclose(outputs, model(X), rtol=1e-5, atol=1e-5)
    assert {constant.dtype for constant in constants(path).values()} <= {"float32", "int32"}


def test_convolutions_and_a_loop(tmp_path):
    model, path = recurrent(), tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    (outputs,) = run(path, inputs=X[:2]).values()
    np.testing.assert_allclose(outputs, model(X[:2]), rtol=1e-4, atol=1e-5)


def test_an_operation_that_needs_a_fixed_batch(tmp_path):
    model = randomized(keras.Sequential([keras.Input([6, 8]), keras.layers.LSTM(8)]))
    path = tmp_path / "model.tflite"
    with pytest.raises(UserError, match=r"no builtin operators for TensorListReserve .* give"):
        export_keras_tflite(model, path)
    export_keras_tflite(model, path, batch_size=1)
    (outputs,) = run(path, inputs=X[:1]).values()
    np.testing.assert_allclose(outputs, model(X[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scheme", ["w4c_a8static", "w8c_a8static", "w4b32_a8d", "w4c_a8dsym"])
def test_other_schemes(tmp_path, scheme):
    layers = [QuantDense(32, "relu", quant=scheme), QuantDense(4, quant=scheme)]
    model, path = keras.Sequential([keras.Input([32]), *layers]), tmp_path / "model.tflite"
    x = RNG.standard_normal([64, 32]).astype(np.float32)
    # Static ranges are found in training.
    model(x, training=True)
    export_keras_tflite(model, path)
    interpreter = litert.Interpreter(
        str(path),
        experimental_op_resolver_type=(
            litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            if scheme == "w4c_a8dsym"
            else litert.OpResolverType.BUILTIN
        ),
    )
    (outputs,) = interpreter.get_signature_runner()(inputs=x).values()
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5, atol=1e-5)


def test_a_file_that_fails_the_comparison_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")

    def refuse(content, weights):
        raise UserError("differs")

    monkeypatch.setattr(write_tflite, "verify", refuse)
    with pytest.raises(UserError, match="differs"):
        export_keras_tflite(keras.Sequential([keras.Input([8]), QuantDense(4)]), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_refusals(tmp_path):
    path = tmp_path / "model.tflite"
    mixed = keras.Sequential(
        [keras.Input([8]), QuantDense(4, quant="w4a8"), QuantDense(4, quant="w4a8sym")]
    )
    half = keras.Sequential([keras.Input([8]), keras.layers.Dense(4, dtype="bfloat16", name="d")])
    for model, complaint in [
        (half, "/d has the dtype policy 'bfloat16', whose weights have 16 bits; take 'mixed_b"),
        (QuantDense(4), "`model` must be a keras.Model; .* Received: QuantDense"),
        (keras.Sequential([QuantDense(4)], name="new"), "inputs of 'new' are not known; call the"),
        (Subclassed(), "not known; call the model once, give it Input layers, or give `input_sig"),
        (mixed, "both symmetric and asymmetric int8 activations"),
    ]:
        with pytest.raises(UserError, match=complaint):
            export_keras_tflite(model, path)
    with pytest.raises(UserError, match="is a folder; name the file"):
        export_keras_tflite(sequential(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("policy", "recipe"),
    [
        *[("mixed_bfloat16", "w4c_a8d"), ("mixed_float16", "float")],
        *heavy(("mixed_bfloat16", "float"), ("mixed_float16", "w4c_a8d")),
    ],
)
def test_other_dtype_policies_are_exported_as_float32(tmp_path, policy, recipe):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(16, "relu", dtype=policy),
        keras.layers.LayerNormalization(dtype=policy),
        keras.layers.Conv1D(8, 3, dtype=policy),
        keras.layers.Flatten(dtype=policy),
        keras.layers.Dense(3, dtype=policy),
    ]
    model = quantize_model(keras.Sequential([keras.Input([6, 8]), *layers]), recipe)
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    assert {layer.dtype_policy.name for layer in model.layers} == {policy}
    (outputs,) = run(path, inputs=X).values()
    assert outputs.dtype == np.float32
    expected = np.asarray(keras.ops.cast(model(X), "float32"))
    np.testing.assert_allclose(outputs, expected, atol=0.03 * np.abs(expected).max())


def test_odd_numbers_of_inputs(tmp_path):
    keras.utils.set_random_seed(0)
    ids = keras.Input([6], dtype="int32")
    y = keras.layers.Embedding(11, 7)(ids)
    y = keras.layers.Conv1D(5, 3, padding="same", activation="relu")(y)
    y = keras.layers.Conv2D(3, [1, 3])(y[:, None])
    model = quantize_model(keras.Model(ids, keras.layers.Dense(9)(y)), "w4c_a8d")
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    found = [c for c in constants(path).values() if c.dtype == "int4"]
    assert sorted(c.shape for c in found) == [(3, 16), (5, 22), (9, 4), (11, 8)]
    (outputs,) = run(path, inputs=IDS).values()
    np.testing.assert_allclose(outputs, model(IDS), rtol=1e-5, atol=1e-6)


@pytest.mark.heavy
def test_a_network_of_others(tmp_path):
    """MobileNetV2: its first convolution has 27 inputs, an odd number."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2([32, 32, 3], alpha=0.35, weights=None, classes=5)
    with pytest.warns(UserWarning, match=r"expanded_conv_depthwise \(DepthwiseConv2D\), block_1_"):
        model = quantize_model(randomized(model), "w4c_a8d")
    path = tmp_path / "model.tflite"
    export_keras_tflite(model, path)
    images = RNG.standard_normal([2, 32, 32, 3]).astype(np.float32)
    (outputs,) = run(path, inputs=images).values()
    expected = model(images)
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)
