import warnings

import keras
import numpy as np
import pytest

import int4_conformer
from int4_conformer import layers, quantize
from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.quantize import COUNTERPARTS, quantize_model, summary
from tests.layers import battery
from tests.quant import reference
from tests.support import tiny

X = np.random.default_rng(0).standard_normal([5, 6, 8]).astype(np.float32)
FLOAT, W4 = QuantConfig(), QuantConfig.from_name("w4c")


def randomized(model):
    keras.utils.set_random_seed(1)
    for weight in model.weights:
        weight.assign(keras.random.uniform(weight.shape, 0.1, 1.0))
    return model


def sequential():
    return randomized(
        keras.Sequential(
            [
                keras.Input([6, 8]),
                keras.layers.Dense(4, "relu", name="hidden"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(3, use_bias=False, name="output"),
            ]
        )
    )


def functional():
    """A model within a model, a layer that is used twice, and an addition."""
    inner = keras.Input([6, 8])
    y = keras.layers.Dense(8, "relu", name="dense")(inner)
    block = keras.Model(inner, keras.layers.Dense(8, name="shared")(y), name="block")
    x = keras.Input([6, 8])
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    y = keras.layers.LayerNormalization(name="norm")(x)
    y = x + attention(y, y)
    y = block(block(y))
    return randomized(keras.Model(x, keras.layers.Dense(3, name="dense")(y), name="whole"))


@keras.saving.register_keras_serializable(package="tests")
class Block(keras.layers.Layer):
    """A layer with layers of its own."""

    def __init__(self, kind=None, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.inner = (
            layers.QuantDense(8, quant=kind, name="inner")
            if kind
            else keras.layers.Dense(8, name="inner")
        )

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return super().get_config() | {"kind": self.kind}


def with_layer(layer):
    return randomized(
        keras.Sequential([keras.Input([6, 8]), layer, keras.layers.Dense(3, name="output")])
    )


def recipe(*rules):
    return Recipe(
        name="odd",
        rules=tuple((pattern, QuantConfig.from_name(scheme)) for pattern, scheme in rules),
    )


def schemes(model):
    return {path: layer.quant.name for path, layer in layers.paths.quantized_layers(model).items()}


def test_a_sequential_model():
    model = sequential()
    before = [weight.numpy() for weight in model.weights]
    copy = quantize_model(model, "w4c")
    assert schemes(copy) == {"hidden": "w4c", "output": "w4c"}
    assert [type(layer) for layer in model.layers[::3]] == 2 * [keras.layers.Dense]
    # The copy has weights of its own, with the same values.
    for weight, copied, value in zip(model.weights, copy.weights, before, strict=True):
        assert copied is not weight
        np.testing.assert_array_equal(copied, value)
    kernel, bias, *norm, output = before
    hidden = X @ reference.on_grid(kernel, 4, axes=(0,)) + bias
    gamma, beta, mean, variance = norm
    normed = (np.maximum(hidden, 0) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    expected = normed @ reference.on_grid(output, 4, axes=(0,))
    np.testing.assert_allclose(copy(X), expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(copy(X), model(X), rtol=1e-4)


def test_a_functional_model_and_the_one_within():
    model = functional()
    rules = [("attention/query", "w8c_a8d"), ("attention/.*", "w4c_a8d"), ("block/dense", "w6c")]
    copy = quantize_model(model, recipe(*rules, (".*", "float")))
    assert schemes(copy) == {
        "attention/query": "w8c_a8d",
        "attention/key": "w4c_a8d",
        "attention/value": "w4c_a8d",
        "attention/attention_output": "w4c_a8d",
        "block/dense": "w6c",
    }
    # What the recipe leaves in float is left as it was.
    assert type(copy.get_layer("dense")) is keras.layers.Dense
    assert type(copy.get_layer("block").get_layer("shared")) is keras.layers.Dense
    np.testing.assert_allclose(copy(X), model(X), rtol=0.3)
    assert not np.allclose(copy(X), model(X), rtol=1e-5)


def test_in_float_nothing_changes():
    model = functional()
    copy = quantize_model(model, "float")
    assert schemes(copy) == {}
    np.testing.assert_allclose(copy(X), model(X), rtol=1e-6)


def test_a_layer_in_two_places_stays_one():
    shared = keras.layers.Dense(8, name="shared")
    inner = keras.Input([8])
    block = keras.Model(inner, shared(inner), name="block")
    x = keras.Input([8])
    model = keras.Model(x, shared(block(x)))
    copy = quantize_model(model, "w4c")
    assert len(copy.weights) == len(model.weights) == 2
    assert schemes(copy) == {"block/shared": "w4c"}


def test_a_quantized_model_by_another_recipe():
    model = sequential()
    fine = quantize_model(model, "w8c_a8d")
    again = quantize_model(quantize_model(model, "w4c"), "w8c_a8d")
    assert schemes(again) == schemes(fine)
    np.testing.assert_array_equal(again(X), fine(X))
    assert schemes(quantize_model(fine, "float")) == {"hidden": "float", "output": "float"}


def test_learned_clips_are_copied_where_the_scheme_stays():
    learned = Recipe(name="clip", rules=((".*", QuantConfig(weight_bits=4, learned_clip=True)),))
    model = quantize_model(sequential(), learned)
    clip = model.get_layer("hidden").kernel_clip
    clip.assign(0.5 * clip)
    same = quantize_model(model, learned)
    np.testing.assert_array_equal(same.get_layer("hidden").kernel_clip, clip)
    np.testing.assert_array_equal(same(X), model(X))
    finer = Recipe(name="clip", rules=((".*", QuantConfig(weight_bits=6, learned_clip=True)),))
    other = quantize_model(model, finer)
    assert np.all(other.get_layer("hidden").kernel_clip == 1)


def test_it_trains_and_is_saved(tmp_path):
    model = sequential()
    model.compile(keras.optimizers.SGD(0.05), "mse")
    copy = quantize_model(model, "w4a8")
    y = np.random.default_rng(1).standard_normal([5, 6, 3]).astype(np.float32)
    before = copy.evaluate(X, y, verbose=0)
    copy.fit(X, y, epochs=20, verbose=0)
    assert copy.evaluate(X, y, verbose=0) < 0.9 * before
    copy.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert schemes(loaded) == schemes(copy)
    np.testing.assert_array_equal(loaded(X), copy(X))


def test_a_model_without_weights_yet():
    copy = quantize_model(keras.Sequential([keras.layers.Dense(4, name="dense")]), "w4c")
    copy(X)
    assert schemes(copy) == {"dense": "w4c"}


@pytest.mark.parametrize("case", battery.CASES, ids=lambda case: case.layer.__name__)
def test_every_quantized_layer_has_its_place(case):
    assert COUNTERPARTS[case.keras_layer] is case.layer
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in case.inputs]
    twin = case.keras_layer(**case.arguments, name="layer")
    model = keras.Model(inputs, twin(*inputs))
    case.set_weights(twin)
    copy = quantize_model(model, case.scheme)
    assert type(copy.get_layer("layer")) is case.layer
    assert set(schemes(copy).values()) == {QuantConfig.from_name(case.scheme).name}
    expected = case.quantized(case.scheme)(*case.inputs)
    np.testing.assert_allclose(copy(list(case.inputs)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "rules", "complaint"),
    [
        (sequential, [("hiden", "w4c"), (".*", "float")], "rule 'hiden' decides for no layer"),
        (sequential, [("norm", "w4c"), (".*", "float")], "rule 'norm' decides for no layer"),
        (sequential, [("hidden", "w4c")], "no rule for layer `output`"),
        (functional, [("block/.*", "w4c"), ("attention", "w4c")], "layer `attention/query`"),
        (
            lambda: with_layer(keras.layers.GRU(4, return_sequences=True, name="gru")),
            [("gru|output", "w4c")],
            r"rule 'gru\|output' quantizes 'gru', a GRU, which has no quantized counterpart; put",
        ),
        (
            lambda: with_layer(Block(name="block")),
            [("block/.*|output", "w4c")],
            "gives 'block/inner' the scheme 'w4c', but it is a part of a Block, whose layers",
        ),
        (
            lambda: with_layer(Block("w8c", name="block")),
            [("block/.*|output", "w4c")],
            "gives 'block/inner' the scheme 'w4c'",
        ),
        (
            lambda: with_layer(keras.layers.Conv1D(4, 3, groups=2, name="conv")),
            [("conv|output", "w4c")],
            r"quantizes 'conv', a Conv1D, which has no quantized counterpart",
        ),
        (
            lambda: with_layer(Unreadable(name="odd")),
            [(".*", "w4c")],
            r"'odd', a Unreadable, cannot be copied \(.*'sizes'.*\); have its `get_config` return",
        ),
    ],
    ids=lambda value: value[0][0] if isinstance(value, list) else "",
)
def test_a_recipe_that_does_not_fit(build, rules, complaint):
    with pytest.raises(UserError, match=complaint):
        quantize_model(build(), recipe(*rules))


class OwnDense(keras.layers.Dense):
    pass


class Unreadable(keras.layers.Layer):
    """A layer that does not say what it was made of."""

    def __init__(self, size=3, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def get_config(self):
        return super().get_config() | {"sizes": self.size}


@pytest.mark.parametrize(
    ("layer", "path", "kind"),
    [
        (keras.layers.GRU(4, return_sequences=True, name="left"), "left", "GRU"),
        (OwnDense(4, name="left"), "left", "OwnDense"),
        (keras.layers.Conv1D(4, 3, groups=2, name="left"), "left", "Conv1D"),
        (keras.layers.RNN(keras.layers.LSTMCell(4), name="left"), "left", "RNN"),
        (
            keras.layers.TimeDistributed(OwnDense(4, name="own"), name="left"),
            "left/own",
            "OwnDense",
        ),
        (Block(name="left"), "left/inner", "Dense of a Block"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_stays_float_is_named(layer, path, kind):
    model = with_layer(layer)
    with pytest.warns(UserWarning, match=rf"stay as they are: {path} \({kind}\) \(`quantize.summ"):
        copy = quantize_model(model, "w4c")
    assert schemes(copy) == {"output": "w4c"}
    rows = [line.split() for line in summary(copy).splitlines()[1:]]
    assert [row[0].split("/")[0] for row in rows[:-2]] == ["left", "output"]
    assert rows[0][2] == "float"
    # A rule that says so asks for no warning.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quantize_model(model, recipe(("left.*", "float"), ("output", "w4c")))


def test_many_layers_that_stay_float_are_counted():
    kernels = [keras.layers.DepthwiseConv2D(1, name=f"left{i}") for i in range(11)]
    model = keras.Sequential([keras.Input([4, 4, 3]), *kernels])
    with pytest.warns(UserWarning, match=r"left7 \(DepthwiseConv2D\) and 3 more \(`quantize.summ"):
        quantize_model(model, "w4c")


def test_parts_that_are_quantized_already_may_stay():
    built = with_layer(Block("w8c", name="block"))
    copy = quantize_model(built, recipe(("block/inner", "w8c"), (".*", "w4c")))
    assert schemes(copy) == {"block/inner": "w8c", "output": "w4c"}


def wrapped():
    within = keras.Sequential([keras.Input([10]), keras.layers.Dense(4, name="dense")], name="two")
    return randomized(
        keras.Sequential(
            [
                keras.Input([6, 8]),
                keras.layers.TimeDistributed(keras.layers.Dense(5, name="one"), name="each"),
                keras.layers.Bidirectional(
                    keras.layers.LSTM(5, return_sequences=True, name="lstm"), name="both"
                ),
                keras.layers.TimeDistributed(within, name="model"),
            ]
        )
    )


def test_layers_within_wrappers(tmp_path):
    model = wrapped()
    copy = quantize_model(model, recipe(("both/backward_lstm", "w8c_a8d"), (".*", "w4c")))
    assert schemes(copy) == {
        "each/one": "w4c",
        "both/forward_lstm": "w4c",
        "both/backward_lstm": "w8c_a8d",
        "model/two/dense": "w4c",
    }
    for weight, copied in zip(model.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(copied, weight, err_msg=weight.path)
    np.testing.assert_allclose(quantize_model(model, "float")(X), model(X), rtol=1e-5)
    np.testing.assert_allclose(quantize_model(model, "w8c")(X), model(X), rtol=0.05)
    copy.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(X), copy(X))


def test_a_lambda_stays_itself():
    model = with_layer(keras.layers.Lambda(lambda x: 2 * x, name="twice"))
    copy = quantize_model(model, "w8c")
    assert schemes(copy) == {"output": "w8c"}
    np.testing.assert_allclose(copy(X), model(X), rtol=0.1, atol=0.1)


def test_subclassed_models():
    class Model(keras.Model):
        pass

    with pytest.raises(UserError, match=r"'mine' is a subclassed model .* build it with"):
        quantize_model(Model(name="mine"), "w4a8")


def test_an_unknown_recipe():
    with pytest.raises(UserError, match="Unknown recipe 'w1'"):
        quantize_model(sequential(), "w1")


def test_the_summary_of_a_model():
    rules = recipe(("attention/.*", "w8c"), ("block/dense", "w4c_a8d"), (".*", "float"))
    rows = [line.split() for line in summary(quantize_model(functional(), rules)).splitlines()]
    # A projection of attention has 64 weights and 8 biases; a scale for each of 8 outputs.
    projection = ["QuantEinsumDense", "w8c", "72", str(64 + 32 + 32), "288"]
    assert rows == [
        ["path", "layer", "scheme", "weights", "bytes", "float32"],
        ["attention/query", *projection],
        ["attention/key", *projection],
        ["attention/value", *projection],
        ["attention/attention_output", *projection],
        ["block/dense", "QuantDense", "w4c_a8d", "72", str(32 + 32 + 32), "288"],
        ["block/shared", "Dense", "float", "72", "288", "288"],
        ["dense", "Dense", "float", "27", "108", "108"],
        ["other", "weights", "16", "64", "64"],
        ["total", "475", "1,068", "1,900"],
    ]


def test_the_summary_of_a_recogniser():
    model = tiny.shared_model()
    rows = [line.split() for line in summary(model).splitlines()[1:]]
    quantized = [row[0] for row in rows[:-2] if row[2] != "float"]
    assert quantized == list(layers.paths.quantized_layers(model))
    assert sum(int(row[-3].replace(",", "")) for row in rows[:-1]) == model.count_params()
    assert rows[-1][1] == f"{model.count_params():,}"


def test_the_summary_says_which_rows_are_padded():
    sizes = {"one": 5, "two": 6, "three": 5, "four": 4}
    model = keras.Sequential(
        [keras.Input([7]), *(keras.layers.Dense(size, name=name) for name, size in sizes.items())]
    )
    schemes = ("w4c_a8d", "w2c_a8d", "w4c_a8d", "w8c_a8d")
    text = summary(quantize_model(model, recipe(*zip(sizes, schemes, strict=True))))
    *table, empty, note = text.splitlines()
    padded = "one/kernel (7 to 8), two/kernel (5 to 8)"
    assert (empty, note) == ("", f"inputs padded with zeros: {padded}")
    # Eight codes for each output; a scale and a bias each.
    assert table[1].split() == ["one", "QuantDense", "w4c_a8d", "40", str(20 + 20 + 20), "160"]
    assert table[2].split() == ["two", "QuantDense", "w2c_a8d", "36", str(12 + 24 + 24), "144"]


def test_what_quantization_adds_is_not_counted():
    config = QuantConfig(weight_bits=4, learned_clip=True, start_step=3)
    model = quantize_model(sequential(), Recipe(name="all", rules=((".*", config),)))
    assert summary(model).splitlines()[-1].split()[1] == f"{sequential().count_params()}"


def test_a_summary_needs_weights():
    with pytest.raises(UserError, match="'new' is not built; call it once"):
        summary(keras.Sequential([keras.layers.Dense(4)], name="new"))


def test_public_names():
    assert int4_conformer.quantize_model is quantize_model
    assert int4_conformer.quantize is quantize


def test_a_transducer_keeps_its_weights():
    model = tiny.model("w4a8")
    model.front_end.mean.assign(np.arange(80))
    copy = quantize_model(model, "float")
    assert copy.config == tiny.config("float")
    assert model.config == tiny.config("w4a8")
    copied = by_path(copy)
    assert copied.keys() == by_path(model).keys()
    assert len(copied) == len(model.weights)
    for path, variable in by_path(model).items():
        np.testing.assert_array_equal(copied[path], variable, err_msg=path)
        assert copied[path] is not variable
    pcm = tiny.speech(5)[None]
    assert not np.allclose(copy.encode(pcm), model.encode(pcm), atol=1e-3)
