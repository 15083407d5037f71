"""What a step computes before its update."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path, copy_weights, quantized_layers
from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.models.accumulation import sum_over_parts
from int4_conformer.models.training_step import TrainingStep
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.quant import QuantConfig, Recipe
from tests.support import tiny
from tests.support.examples import heavy

BLOCKS = 8
BATCH = {
    "pcm": tf.stack([tiny.speech(BLOCKS, seed) for seed in range(4)]),
    "pcm_length": tf.constant([8, 5, 8, 0]) * 640,
    "labels": tf.constant([[1, 2, 3], [4, 5, 0], [2, 2, 2], [0, 0, 0]]),
    "label_length": tf.constant([3, 2, 3, 0]),
}
SEED = tf.constant([7, 0])
W4A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")
LATE = Recipe(name="late", rules=((".*", dataclasses.replace(W4A8, start_step=2)),))


def still(recipe):
    """A recogniser without dropout, with the same weights whatever the recipe."""
    config = tiny.config(recipe)
    encoder = dataclasses.replace(tiny.ENCODER, dropout=0.0)
    model = Transducer(dataclasses.replace(config, encoder=encoder))
    model.build()
    copy_weights(tiny.shared_model("float"), model)
    return model


def step_of(model, **options):
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    settings = {
        "loss": LossConfig(),
        "augment": None,
        "clip_norm": 5.0,
        "skip_norm": 0.0,
        "seed": 0,
        "xla": False,
    }
    return TrainingStep(model, optimizer, **(settings | options))


def gradients(model, batch=BATCH, stage=0, mode="eager", **options):
    """The summed loss, and its gradients by path."""
    step = step_of(model, xla=mode == "xla", **options)
    run = step._gradients
    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    loss, found = run(batch, SEED, stage)
    paths = {id(variable): path for path, variable in by_path(model).items()}
    names = [paths[id(variable)] for variable in model.trainable_variables]
    dense = [tf.convert_to_tensor(gradient).numpy() for gradient in found]
    return float(loss), dict(zip(names, dense, strict=True))


def assert_same(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for path, gradient in expected[1].items():
        tolerance = 1e-5 * np.abs(gradient).max() + 1e-7
        np.testing.assert_allclose(found[1][path], gradient, atol=tolerance, err_msg=path)


@pytest.fixture(scope="module")
def in_floats():
    """Gradients of the float model."""
    return gradients(still("float"))


@pytest.mark.parametrize(
    ("parts", "mode"), [(2, "graph"), *heavy((4, "xla"), (4, "graph"), (2, "xla"))]
)
def test_parts_are_the_batch(in_floats, parts, mode):
    found = gradients(still("float"), accumulate=parts, mode=mode)
    assert_same(found, in_floats)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.5])
def test_noise_without_a_word_is_learned_as_well(ctc_weight):
    silent = BATCH | {
        "pcm_length": tf.constant([8, 5, 0, 0]) * 640,
        "labels": tf.zeros([4, 3], tf.int32),
        "label_length": tf.zeros([4], tf.int32),
    }
    config = dataclasses.replace(tiny.config("float"), ctc=ctc_weight > 0)
    model = Transducer(config)
    model.build()
    loss, found = gradients(model, silent, loss=LossConfig(ctc_weight=ctc_weight))
    # All that may be said is nothing: the blank gets likelier, and every symbol less so.
    assert np.isfinite(loss)
    assert loss > 0
    bias = found["joint/output_bias"]
    assert bias[0] < 0 < bias[1:].min()


def test_each_part_has_masks_of_its_own():
    def function(part, number):
        draw = tf.random.stateless_uniform([], SEED + tf.stack([0, number]))
        return draw, [tf.one_hot(number, 4) * draw + tf.reduce_sum(part["x"])]

    batch = {"x": tf.constant([[1.0], [2.0], [3.0], [4.0]])}
    loss, (gradient,) = sum_over_parts(function, batch, 4, [tf.TensorShape([4])])
    drawn = gradient.numpy() - 10
    assert len(set(drawn.round(5).tolist())) == 4
    np.testing.assert_allclose(loss, drawn.sum(), rtol=1e-5)


def test_parts_that_a_batch_does_not_have():
    with pytest.raises(UserError, match="A batch of 4 utterances has no 3 equal parts"):
        gradients(still("float"), accumulate=3)


@pytest.mark.parametrize(
    ("recipe", "mode"),
    [("w4a8", "eager"), (LATE, "eager"), *heavy(("w4a8", "graph"), (LATE, "graph"))],
    ids=["now", "late", "now-graph", "late-graph"],
)
def test_float_first(in_floats, recipe, mode):
    model = still(recipe)
    assert_same(gradients(model, quantize_from=4, mode=mode), in_floats)
    quantized = gradients(still("w4a8"), mode=mode)
    assert_same(gradients(model, quantize_from=4, stage=4, mode=mode), quantized)
    assert quantized[0] != pytest.approx(in_floats[0], rel=1e-5)


def test_a_step_knows_its_stages():
    step = step_of(still(LATE), quantize_from=4)
    stages = []
    step._run_step = lambda batch, stage: stages.append(stage)
    for number in range(6):
        step(BATCH, number)
    assert stages == [0, 0, 2, 2, 4, 4]


def test_what_only_integers_have_gets_no_gradient_in_float():
    learned = dataclasses.replace(W4A8, learned_clip=True)
    model = still(Recipe(name="learned", rules=((".*", learned),)))
    for stage, expected in ((0, False), (4, True)):
        _, found = gradients(model, quantize_from=4, stage=stage)
        clips = [gradient for path, gradient in found.items() if path.endswith("_clip")]
        assert len(clips) > 10
        assert any(np.any(gradient) for gradient in clips) == expected


@pytest.mark.parametrize("parts", [1, 2])
def test_layers_count_a_step_once(parts):
    model = still(LATE)
    gradients(model, accumulate=parts)
    counts = {int(layer.quant_step) for layer in quantized_layers(model).values()}
    assert counts == {1}


NOISE = VariationalNoise(stddev=0.1)


def noise_by_hand(model, noise):
    """The weights with the noise of `SEED`."""
    for number, weight in enumerate(noise.weights_of(model)):
        drawn = tf.random.stateless_normal(weight.shape, [7, -1 - number])
        weight.assign(weight + noise.stddev * drawn)


@pytest.mark.usefixtures("without_pieces")
@pytest.mark.parametrize(
    ("encoder", "mode"), [(True, "eager"), (False, "eager"), *heavy((True, "graph"))]
)
def test_noise_is_on_the_weights_of_the_step_alone(encoder, mode):
    noise = dataclasses.replace(NOISE, encoder=encoder)
    model, by_hand = still("w4a8"), still("w4a8")
    before = [weight.numpy() for weight in model.weights]
    noise_by_hand(by_hand, noise)
    found = gradients(model, noise=noise, accumulate=2, mode=mode)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert_same(found, gradients(by_hand, mode=mode))
    assert found[0] != pytest.approx(gradients(model)[0], rel=1e-5)
    moved = {
        path
        for (path, weight), value in zip(by_path(by_hand).items(), before, strict=True)
        if np.any(weight != value)
    }
    assert {path.split("/")[0] for path in moved} == {"predictor", "encoder"} - (
        set() if encoder else {"encoder"}
    )
    assert not [path for path in moved if path.endswith(("bias", "gamma", "beta", "_clip"))]
    assert "predictor/embedding/embeddings" in moved


def test_noise_has_a_first_step():
    model = still("float")
    early = gradients(model, noise=dataclasses.replace(NOISE, start_step=1))
    plain = gradients(model)
    assert early[0] == plain[0]
    for path, gradient in plain[1].items():
        np.testing.assert_array_equal(early[1][path], gradient)


def test_a_step_survives_json():
    options = {
        "augment": SpecAugmentConfig(),
        "accumulate": 2,
        "quantize_from": 3,
        "noise": NOISE,
    }
    model = still("float")
    model.compile("sgd", LossConfig(fast_emit=0.1), **options)
    again = still("float")
    again.compile_from_config(model.get_compile_config())
    assert again.training_step.to_config() == model.training_step.to_config()
    old = model.get_compile_config()
    for name in ("accumulate", "quantize_from", "noise"):
        del old["training_step"][name]
    again.compile_from_config(old)
    assert again.training_step.to_config()["accumulate"] == 1


def teacher_model():
    """Another recogniser, whose encoder wants whole chunks."""
    keras.utils.set_random_seed(5)
    encoder = dataclasses.replace(tiny.ENCODER, chunk=3, left_context=3)
    model = Transducer(dataclasses.replace(tiny.config("float"), encoder=encoder))
    model.build()
    return model


def test_a_teacher_has_its_share_of_the_loss():
    model, teacher = still("float"), teacher_model()

    def of(weight, **options):
        return gradients(model, loss=LossConfig(distillation_weight=weight), **options)

    own, taught = of(0.5), of(1.0, teacher=teacher)
    assert own[0] == gradients(model)[0]
    assert taught[0] > 0
    mixed = of(0.25, teacher=teacher, accumulate=2)
    both = {path: 0.75 * own[1][path] + 0.25 * gradient for path, gradient in taught[1].items()}
    assert_same(mixed, (0.75 * own[0] + 0.25 * taught[0], both))
    assert np.any(taught[1]["encoder/input/kernel"])


def test_a_teacher_is_as_it_was_trained():
    """Wherever the student is: quantized, not in float, while the student begins in float."""
    model, teacher = still("float"), still("w4a8")
    only = LossConfig(distillation_weight=1.0)
    early = gradients(model, loss=only, teacher=teacher, quantize_from=4)
    late = gradients(model, loss=only, teacher=teacher, quantize_from=4, stage=4)
    assert early[0] == pytest.approx(late[0], rel=1e-5)
    assert early[0] > 1e-4


REPLICAS = """
import sys
import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.training.strategies import strategy_from_name
from tests.models.test_training_step import BATCH, NOISE, still

found = []
for name, parts in (("auto", 1), ("mirrored", 2)):
    strategy = strategy_from_name(name)
    with strategy.scope():
        model, teacher = still("w4"), still("w8a8")
        before = [weight.numpy() for weight in model.trainable_weights]
        model.compile(
            keras.optimizers.SGD(0.1), LossConfig(distillation_weight=0.3), xla=False,
            accumulate=parts, quantize_from=1, noise=NOISE, teacher=teacher, seed=3,
        )
    rows = 4 // strategy.num_replicas_in_sync

    def part(context, rows=rows):
        start = context.replica_id_in_sync_group * rows
        return {key: x[start : start + rows] for key, x in BATCH.items()}

    model.training_step(strategy.experimental_distribute_values_from_function(part), 0)
    # Keras shares the batch out by itself.
    dataset = tf.data.Dataset.from_tensors(BATCH).repeat()
    model.fit(dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    found.append([weight.numpy() for weight in model.trainable_weights])
    assert all(np.any(x != y) for x, y in zip(found[-1], before))
for one, two in zip(*found):
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.heavy
def test_two_replicas_take_the_step_of_one_with_all_options():
    # In a process of its own: the number of devices is fixed once TensorFlow has started.
    environment = os.environ | {"PYTHONPATH": ":".join(path or "." for path in sys.path)}
    command = [sys.executable, "-c", REPLICAS]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
