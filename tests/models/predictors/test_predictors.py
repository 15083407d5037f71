"""What every kind of prediction network is tested for."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.models import make_predictor
from int4_conformer.models.model_config import PredictorKind
from tests.support import deployments, tiny
from tests.support.examples import heavy
from tests.support.streaming import SEGMENTS_ALONE

KINDS = get_args(PredictorKind)
# An LSTM has no bounded context.
CONTEXTS = [(kind, n) for kind in KINDS for n in (1, 4) if kind != "lstm" or n == 4]
VOCAB, OUTPUT = tiny.TOKENIZER.vocabulary.size, 6
# Blanks among them: what pads the end is embedded as the start is.
LABELS = np.int32([[3, 7, 7, 1, 5, 2, 9], [4, 0, 8, 3, 6, 0, 0]])


def built(kind, recipe="float", **sizes):
    keras.utils.set_random_seed(1)
    config = tiny.predictor_config(kind, **sizes)
    layer = make_predictor(config, VOCAB, OUTPUT, quant=recipe)
    layer.build()
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(weight + 0.3 * rng.standard_normal(weight.shape))
    return layer


def steps(layer, labels):
    """Outputs [batch, labels + 1, dim] of one step after another."""
    state, outputs = layer.initial_state(len(labels)), []
    for label in np.pad(labels, [[0, 0], [1, 0]]).T:
        output, state = layer.advance_label(tf.constant(label), state)
        outputs.append(output)
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize(
    ("kind", "context", "options"),
    [
        *((*case, SEGMENTS_ALONE) for case in CONTEXTS if case != ("lookup", 4)),
        # Of the others, what they are made of is checked in full, or a recogniser is exported.
        ("lookup", 4, {}),
        *heavy(*((kind, 4, {}) for kind in KINDS if kind != "lookup")),
    ],
)
def test_segments_are_the_whole(kind, context, options):
    verify_steppable(built(kind, context=context), LABELS, lengths=[7, 5], **options)


@pytest.mark.parametrize(("kind", "context"), CONTEXTS)
def test_steps_are_the_positions_of_the_whole(kind, context):
    layer = built(kind, context=context)
    outputs = layer(LABELS)
    assert outputs.shape == (2, 8, OUTPUT)
    np.testing.assert_allclose(steps(layer, LABELS), outputs, atol=1e-5)
    np.testing.assert_allclose(layer(LABELS[:, :0]), outputs[:, :1], atol=1e-5)


@pytest.mark.parametrize("recipe", ["w4a8", *heavy("w8a8")])
@pytest.mark.parametrize("kind", KINDS)
def test_quantized_steps_differ_by_rounding_alone(kind, recipe):
    layer = built(kind, recipe)
    whole, stepped = layer(LABELS).numpy(), steps(layer, LABELS)
    # A float's last bit seldom moves a code, and then what follows by what that code is worth.
    same = np.all(np.abs(stepped - whole) < 1e-4, axis=-1)
    assert np.mean(same) > 0.9
    np.testing.assert_allclose(stepped, whole, atol=0.1)
    assert np.any(np.abs(whole - built(kind)(LABELS)) > 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_position_sees_no_label_after_it(kind):
    layer = built(kind)
    changed = LABELS.copy()
    changed[:, 3] = LABELS[:, 3] % (VOCAB - 1) + 1
    moved = np.any(np.abs(layer(changed) - layer(LABELS)) > 1e-6, axis=-1)
    assert not np.any(moved[:, :4])
    assert np.all(moved[:, 4])


@pytest.mark.parametrize("kind", KINDS)
def test_the_row_of_the_blank_is_not_looked_up(kind):
    layer = built(kind)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(LABELS) ** 3)
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.embedding.embeddings.value))
    assert not np.any(gradient[0])
    assert set(np.flatnonzero(np.any(gradient != 0, axis=-1))) == set(LABELS.ravel()) - {0}


# XLA compiles the averaged one in the training step of `trained`.
@pytest.mark.parametrize("kind", ["lstm", *heavy(*(kind for kind in KINDS if kind != "lstm"))])
def test_every_weight_trains_under_xla(kind):
    layer = built(kind, "w4a8")

    @tf.function(jit_compile=True, autograph=False)
    def gradients(labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(labels, training=True) ** 3)
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    for weight, gradient in zip(layer.trainable_weights, gradients(LABELS), strict=True):
        assert np.any(tf.convert_to_tensor(gradient) != 0), weight.path


@pytest.mark.parametrize("kind", ["averaged", "lookup", "lstm", "conformer", *heavy("transformer")])
def test_a_server_takes_the_same_steps(kind):
    layer = built(kind, "w8a8")
    specs = {
        name: tf.TensorSpec(part.shape, part.dtype) for name, part in layer.initial_state(2).items()
    }
    graph, deployment = deployments.traced(
        layer.advance_label, "integers", tf.TensorSpec([2], tf.int32), specs
    )
    assert len(deployment.matrices) > 1
    state = layer.initial_state(2)
    for label in LABELS.T[:3]:
        served, _ = graph(tf.constant(label), state)
        output, state = layer.advance_label(tf.constant(label), state)
        np.testing.assert_allclose(served, output, atol=1e-4)
