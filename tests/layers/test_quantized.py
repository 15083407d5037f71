"""What every quantized layer does alike."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantDense, QuantEmbedding, QuantGroupQueryAttention
from int4_conformer.layers.quantized import count_step
from int4_conformer.quant import QuantConfig
from int4_conformer.quant.context import at_step, in_float
from int4_conformer.quant.deploy import deploying
from tests.layers import battery
from tests.quant import reference
from tests.support.deployments import traced
from tests.support.examples import heavy


def each(cases):
    """Cases, of which the long tests alone take the layer that is a twin of another."""
    alike = [case for case in cases if case.layer is QuantGroupQueryAttention]
    others = [case for case in cases if case not in alike]
    return pytest.mark.parametrize(
        "case",
        [*others, *heavy(*alike)],
        ids=lambda case: case.layer.__name__.removeprefix("Quant"),
    )


EVERY_LAYER = each(battery.CASES)
INTEGER_LAYERS = each([case for case in battery.CASES if case.integer])


def gradients(layer, inputs, training=False):
    """Of some sum of the outputs, by path, for each trainable weight; and that sum's factors."""
    with tf.GradientTape() as tape:
        y = layer(*inputs, training=training)
        dy = np.random.default_rng(2).standard_normal(y.shape)
        loss = tf.reduce_sum(y * tf.cast(dy, y.dtype))
    variables = layer.trainable_weights
    found = tape.gradient(loss, [variable.value for variable in variables])
    return {
        battery.path(variable): None if gradient is None else tf.convert_to_tensor(gradient).numpy()
        for variable, gradient in zip(variables, found, strict=True)
    }


@EVERY_LAYER
def test_in_float_it_is_the_layer_of_keras(case):
    layer, expected = case.quantized(None), case.float_twin()
    assert isinstance(layer, case.keras_layer)
    described = [(battery.path(w), w.shape, w.dtype, w.trainable) for w in layer.weights]
    assert described == [(battery.path(w), w.shape, w.dtype, w.trainable) for w in expected.weights]
    y = layer(*case.inputs)
    np.testing.assert_allclose(y, expected(*case.inputs), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(y, case.quantized(case.scheme)(*case.inputs))


@EVERY_LAYER
@pytest.mark.parametrize("name", ["w3c", "w5t", "w4b32"])
def test_its_weights_are_on_their_grids(case, name):
    config = QuantConfig.from_name(name)
    layer = case.quantized(config)
    axes = (0, 1) if config.granularity == "tensor" else (case.axis,)

    def on_grid(matrix):
        return reference.on_grid(matrix, config.weight_bits, axes, block=config.block)

    expected = case.with_matrices(layer, on_grid)(*case.inputs)
    np.testing.assert_allclose(layer(*case.inputs), expected, rtol=1e-4, atol=1e-5)


@EVERY_LAYER
def test_it_survives_its_config(case):
    options = {"learned_clip": True, "start_step": 3}
    layer = case.quantized(QuantConfig(weight_bits=6, **options), name="mine")
    config = json.dumps(layer.get_config())
    clone = case.layer.from_config(json.loads(config))
    assert json.dumps(clone.get_config()) == config
    assert clone.name == "mine"
    assert clone.quant == layer.quant
    case.built(clone)
    np.testing.assert_array_equal(clone(*case.inputs), layer(*case.inputs))


@EVERY_LAYER
def test_a_saved_model_computes_the_same(case, tmp_path):
    quant = QuantConfig.from_name("w4c_a8static" if case.integer else "w4c")
    quant = dataclasses.replace(quant, learned_clip=True, start_step=3)
    layer = case.layer(quant=quant, **case.arguments)
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in case.inputs]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(*inputs))
    case.set_weights(layer)
    for variable in layer.weights:
        if variable.name.endswith("_clip"):
            variable.assign(np.linspace(0.5, 1, variable.shape[1])[None] + 0 * variable.numpy())
        elif variable.name.endswith("_range"):
            variable.assign([-4, 5])
        elif variable.name == "quant_step":
            variable.assign(7)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    saved, restored = (
        {variable.path: variable.numpy() for variable in layer.weights} for layer in (model, loaded)
    )
    assert sum("_clip" in path for path in saved) == len(case.matrices)
    assert sum("_range" in path for path in saved) == 2 * case.integer * len(case.matrices)
    assert restored.keys() == saved.keys()
    for path, value in restored.items():
        np.testing.assert_array_equal(value, saved[path])
    x = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    np.testing.assert_array_equal(loaded(x), model(x))
    assert not np.array_equal(loaded(x), case.quantized(None)(*case.inputs))


@EVERY_LAYER
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_masks_are_those_of_keras(case):
    layer, expected = case.quantized(None), case.float_twin()
    assert layer.supports_masking == expected.supports_masking
    masking = keras.layers.Masking()

    def masked(layer):
        # Of float inputs, frames of zeros are masked out; a layer may take the mask off its inputs.
        if case.layer is QuantEmbedding:
            return layer(*case.inputs)
        x, *others = case.inputs
        x = np.where(np.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2)) < 4, x, 0)
        return layer(*(masking(tf.constant(x)) for x in (x, *others)))

    y, wanted = masked(layer), masked(expected)
    mask, wanted_mask = (getattr(outputs, "_keras_mask", None) for outputs in (y, wanted))
    assert (mask is None) == (wanted_mask is None) == (not layer.supports_masking)
    if mask is not None:
        np.testing.assert_array_equal(mask, wanted_mask)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


@EVERY_LAYER
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_narrow_types(case, policy):
    layer = case.quantized(case.scheme, dtype=policy)
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    y = layer(*case.inputs)
    dtype = policy.removeprefix("mixed_")
    assert y.dtype == dtype
    rounded = [
        x if x.dtype == np.int32 else tf.cast(tf.cast(x, dtype), tf.float32) for x in case.inputs
    ]
    expected = case.quantized(case.scheme)(*rounded)
    if case.linear:
        # Only the ends are in the narrower type.
        np.testing.assert_array_equal(y, tf.cast(expected, dtype))
    else:
        np.testing.assert_allclose(tf.cast(y, tf.float32), expected, atol=0.1)


@EVERY_LAYER
def test_output_shapes(case):
    layer, expected = case.quantized(case.scheme), case.float_twin()
    shapes = [x.shape for x in case.inputs]
    assert layer.compute_output_shape(*shapes) == expected.compute_output_shape(*shapes)
    symbolic = [keras.Input(x.shape[1:], dtype=x.dtype) for x in case.inputs]
    assert layer(*symbolic).shape == expected(*symbolic).shape


@EVERY_LAYER
def test_gradients_reach_every_weight(case):
    quant = dataclasses.replace(QuantConfig.from_name(case.scheme), learned_clip=True)
    layer = case.quantized(quant)
    found = gradients(layer, case.inputs)
    assert sum("_clip" in path for path in found) == len(case.matrices)
    for path, gradient in found.items():
        assert gradient is not None, path
        assert np.all(np.isfinite(gradient)), path
        # Softmax ignores what shifts all of a query's scores alike.
        assert np.any(gradient) or path == "key/bias", path


@EVERY_LAYER
def test_xla_computes_the_same(case):
    layer = case.quantized(case.scheme)
    for weight in battery.weights(layer):
        if weight.name == "bias":
            # Added to a product in one instruction, a bias makes its rounding another.
            weight.assign(0 * weight)
    compiled = tf.function(layer, jit_compile=True, autograph=False)
    y, expected = compiled(*case.inputs).numpy(), layer(*case.inputs).numpy()
    if case.linear and case.integer:
        np.testing.assert_array_max_ulp(y, expected, 2)
    else:
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@EVERY_LAYER
def test_the_batch_may_be_unknown(case):
    layer = case.quantized(case.scheme)
    unknown = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in case.inputs]
    function = tf.function(layer, input_signature=unknown)
    for batch in (1, 2):
        inputs = [x[:batch] for x in case.inputs]
        np.testing.assert_allclose(function(*inputs), layer(*inputs), rtol=1e-5, atol=1e-5)


@INTEGER_LAYERS
def test_static_activations_learn_their_ranges(case):
    layer, exact = case.quantized("w8c_a8static"), case.quantized(None)(*case.inputs)
    call = tf.function(layer, autograph=False)
    for _ in range(2):
        call(*case.inputs, training=True)
    error = np.std(call(*case.inputs) - exact) / np.std(exact)
    assert 0.001 < error < 0.06
    ranges = [weight for weight in layer.weights if weight.name.endswith("_range")]
    assert len(ranges) == 2 * len(case.matrices)
    inputs = [tf.constant(x) for x in case.inputs]
    served, _ = traced(lambda *inputs: layer(*inputs), "integers", *inputs)
    np.testing.assert_allclose(served(*inputs), call(*case.inputs), rtol=1e-5, atol=1e-5)


@EVERY_LAYER
def test_learned_clips_scale_the_grid(case):
    layer = case.quantized(QuantConfig(weight_bits=4, learned_clip=True))
    clips = [weight for weight in layer.trainable_weights if weight.name.endswith("_clip")]
    assert len(clips) == len(case.matrices)
    plain = case.quantized("w4c")(*case.inputs)
    np.testing.assert_array_equal(layer(*case.inputs), plain)
    for clip in clips:
        clip.assign(0.5 * tf.ones(clip.shape))
    expected = case.with_matrices(
        layer, lambda matrix: reference.on_grid(matrix, 4, (case.axis,), clip=0.5)
    )
    np.testing.assert_allclose(layer(*case.inputs), expected(*case.inputs), rtol=1e-4, atol=1e-5)
    # An optimizer cannot take them out of their range.
    for clip in clips:
        np.testing.assert_array_equal(
            clip.constraint(tf.constant([-1.0, 0.5, 2])), [1 / 64, 0.5, 1]
        )


@EVERY_LAYER
def test_stochastic_rounding_has_its_mean_at_the_weight(case):
    keras.utils.set_random_seed(0)
    layer = case.quantized(QuantConfig(weight_bits=3, stochastic_rounding=True))
    nearest = case.quantized("w3c")(*case.inputs).numpy()
    np.testing.assert_array_equal(layer(*case.inputs), nearest)
    np.testing.assert_array_equal(layer(*case.inputs, training=False), nearest)
    draws = 40 if case.linear else 2
    drawn = np.array([layer(*case.inputs, training=True) for _ in range(draws)])
    assert np.any(drawn[0] != drawn[1])
    if case.linear:
        exact = case.quantized(None)(*case.inputs).numpy()
        error = np.std(np.mean(drawn, axis=0) - exact)
        assert error < 0.4 * np.std(nearest - exact)


def test_stochastic_rounding_goes_up_as_often_as_the_weight_is_far():
    keras.utils.set_random_seed(0)
    config = QuantConfig(weight_bits=4, stochastic_rounding=True)
    layer = QuantDense(6, use_bias=False, quant=config)
    layer.build([None, 4001])
    fractions = np.float32([-0.75, 0, 0.05, 0.25, 0.5, 0.95])
    # One weight of 7 makes the scale 1, and is never rounded.
    layer.kernel.assign(np.vstack([np.full(6, 7), np.tile(fractions, [4000, 1])]))
    sums = layer(np.ones([1, 4001], np.float32), training=True)
    np.testing.assert_allclose((sums[0] - 7) / 4000, fractions, atol=0.03)


@EVERY_LAYER
def test_weight_noise_is_in_units_of_the_scale(case):
    quiet, loud = (
        case.quantized(QuantConfig(weight_bits=8, weight_noise=noise)) for noise in (1e-6, 20.0)
    )
    plain = case.quantized("w8c")(*case.inputs).numpy()
    np.testing.assert_array_equal(quiet(*case.inputs, training=True), plain)
    np.testing.assert_array_equal(loud(*case.inputs), plain)
    noisy = np.std(loud(*case.inputs, training=True) - plain)
    # Twenty of the 127 steps to the largest weight are about a third of the weights' deviation.
    assert 0.03 * np.std(plain) < noisy < 1.5 * np.std(plain)


@EVERY_LAYER
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_quantization_sets_in_at_the_start_step(case, compiled):
    exact = case.quantized(None)(*case.inputs).numpy()
    quantized = case.quantized(case.scheme)(*case.inputs).numpy()
    config = dataclasses.replace(QuantConfig.from_name(case.scheme), start_step=2)
    layer = case.quantized(config)
    call = tf.function(layer, autograph=False) if compiled else layer
    expected = [exact, exact, quantized, quantized]
    for y in expected:
        np.testing.assert_allclose(call(*case.inputs, training=True), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(call(*case.inputs), quantized, rtol=1e-5, atol=1e-5)
    young = case.quantized(config)
    for _ in range(3):
        np.testing.assert_allclose(young(*case.inputs), exact, rtol=1e-5, atol=1e-5)


@EVERY_LAYER
def test_a_step_that_is_known_needs_no_branches(case):
    exact = case.quantized(None)(*case.inputs).numpy()
    quantized = case.quantized(case.scheme)(*case.inputs).numpy()
    layer = case.quantized(dataclasses.replace(QuantConfig.from_name(case.scheme), start_step=2))
    for step, expected in enumerate([exact, exact, quantized]):
        with at_step(step):
            program = tf.function(lambda *inputs: layer(*inputs, training=True), autograph=False)
            y = program(*map(tf.constant, case.inputs))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
        types = {
            op.type for op in program.get_concrete_function(*case.inputs).graph.get_operations()
        }
        assert not types & {"If", "StatelessIf"}
    # Whoever runs such steps counts them.
    np.testing.assert_allclose(layer(*case.inputs), exact, rtol=1e-5, atol=1e-5)
    for _ in range(3):
        count_step(layer)
    np.testing.assert_allclose(layer(*case.inputs), quantized, rtol=1e-5, atol=1e-5)


@EVERY_LAYER
@pytest.mark.parametrize("start_step", [0, 2])
def test_in_float_for_a_while(case, start_step):
    exact = case.quantized(None)(*case.inputs).numpy()
    quantized = case.quantized(case.scheme)(*case.inputs).numpy()
    scheme = QuantConfig.from_name(case.scheme)
    layer = case.quantized(dataclasses.replace(scheme, start_step=start_step))
    with in_float():
        for _ in range(3):
            y = layer(*case.inputs, training=True)
            np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)
            count_step(layer)
    np.testing.assert_allclose(layer(*case.inputs), quantized, rtol=1e-5, atol=1e-5)


@EVERY_LAYER
def test_gradients_through_the_scale(case):
    plain, through = (
        case.quantized(QuantConfig(weight_bits=3, scale_gradient=scale_gradient))
        for scale_gradient in (False, True)
    )
    straight, found = gradients(plain, case.inputs), gradients(through, case.inputs)
    for path, gradient in found.items():
        ends = [end for end in case.matrices if path.endswith(end)]
        if not ends:
            np.testing.assert_allclose(gradient, straight[path], rtol=1e-5)
            continue
        (end,) = ends
        weight = next(w for w in plain.weights if battery.path(w) == path)
        matrix, dw = (case.matrix(end, x) for x in (weight.numpy(), straight[path]))
        if case.axis == 1:
            matrix, dw = matrix.T, dw.T
        # As the derivative of sum(dw * w) in the master weights of w.
        expected = reference.through_scale(np.eye(len(matrix)), matrix, dw, bits=3)
        obtained = case.matrix(end, gradient)
        np.testing.assert_allclose(
            obtained.T if case.axis == 1 else obtained, expected, rtol=1e-3, atol=1e-3
        )
        assert np.abs(expected - dw).max() > 0.01 * np.abs(dw).max()


@EVERY_LAYER
def test_clipped_weights_get_no_gradient(case):
    found = {}
    for clip_gradient in (False, True):
        config = QuantConfig(weight_bits=4, learned_clip=True, clip_gradient=clip_gradient)
        layer = case.quantized(config)
        for weight in layer.weights:
            if weight.name.endswith("_clip"):
                weight.assign(0.4 * tf.ones(weight.shape))
        found[clip_gradient] = gradients(layer, case.inputs)
    for end, weight in case.quantized_weights(layer).items():
        matrix = case.matrix(end, weight.numpy())
        _, scale = reference.quantize(matrix, 4, (case.axis,), clip=0.4)
        beyond = np.abs(matrix / scale) > 7.5
        assert 0.05 < np.mean(beyond) < 0.8
        path = battery.path(weight)
        kept, masked = (case.matrix(end, found[clip_gradient][path]) for clip_gradient in found)
        np.testing.assert_array_equal(masked, np.where(beyond, 0, kept))
        assert np.any(kept[beyond])


def test_variables_of_quantization_exist_where_they_are_asked_for():
    layer = QuantDense(5, quant=QuantConfig(learned_clip=True, start_step=3))
    layer.build([None, 8])
    # In float there is nothing to clip or to start.
    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]


@pytest.mark.parametrize(("name", "shape"), [("w4c", (1, 5)), ("w4t", (1, 1)), ("w4b32", (2, 5))])
def test_a_learned_clip_has_the_shape_of_the_scales(name, shape):
    config = dataclasses.replace(QuantConfig.from_name(name), learned_clip=True)
    layer = QuantDense(5, quant=config)
    layer.build([None, 64])
    assert layer.kernel_clip.shape == shape


def test_static_activations_are_not_deployed_before_they_were_seen():
    layer = QuantDense(5, quant="w8c_a8static")
    message = "kernel has static activations but no range yet; train the model"
    with deploying("integers"), pytest.raises(UserError, match=message):
        layer(np.ones([2, 8], np.float32))


def test_a_table_may_be_given_as_it_is_made():
    table = np.random.default_rng(0).standard_normal([7, 4]).astype(np.float32)
    layer = QuantEmbedding(7, 4, weights=[table], quant="w4c")
    expected = reference.on_grid(table, 4, axes=(1,))
    np.testing.assert_array_equal(layer(np.arange(7)), expected)


def test_steps_count_calls_in_training_alone():
    layer = QuantDense(5, quant=QuantConfig(weight_bits=4, start_step=9))
    for training in (None, False, True, True):
        layer(np.ones([2, 8], np.float32), training=training)
    assert layer.quant_step.numpy() == 2
