import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.models import AveragedEmbeddingPredictor, PredictorConfig
from int4_conformer.quant import Recipe
from tests.quant import reference

VOCAB, DIM, OUTPUT = 6, 4, 5
LABELS = np.int32([[1, 5, 2, 2], [3, 0, 4, 1]])


def built(context, recipe="float"):
    config = PredictorConfig(embedding_dim=DIM, context=context, heads=3)
    layer = AveragedEmbeddingPredictor(config, VOCAB, OUTPUT, Recipe.preset(recipe))
    layer(LABELS)
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def equation_1(layer, history):
    """Output for one history, oldest label first; 0 stands for nothing."""
    table, vectors = layer.embedding.embeddings.numpy(), layer.position_vectors.numpy()
    heads, context, _ = vectors.shape
    average = np.zeros(DIM)
    for h in range(heads):
        for n in range(context):
            x = table[history[n]] if history[n] else np.zeros(DIM)
            average += x * (x @ vectors[h, n])
    average /= heads * context
    kernel, bias = layer.projection.get_weights()
    projected = average @ kernel + bias
    projected = projected / (1 + np.exp(-projected))
    gamma, beta = layer.norm.get_weights()
    centred = projected - projected.mean()
    return centred / np.sqrt(projected.var() + 1e-5) * gamma + beta


@pytest.mark.parametrize("context", [1, 2, 3])
def test_it_is_equation_1(context):
    layer = built(context)
    outputs = layer(LABELS)
    assert outputs.shape == (2, 5, OUTPUT)
    for labels, row in zip(LABELS, outputs, strict=True):
        for u, output in enumerate(row):
            history = [0] * context + labels[:u].tolist()
            expected = equation_1(layer, history[len(history) - context :])
            np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("recipe", ["float", "w4a8"])
@pytest.mark.parametrize("context", [1, 2, 3])
def test_a_step_is_the_position_with_its_history(context, recipe):
    layer = built(context, recipe)
    outputs = layer(LABELS)
    for u in range(LABELS.shape[1] + 1):
        history = np.pad(LABELS[:, :u], [[0, 0], [context, 0]])[:, u:]
        np.testing.assert_allclose(layer.step(history), outputs[:, u], rtol=1e-4, atol=1e-5)


def test_a_position_sees_just_the_labels_in_its_context():
    layer = built(2)
    outputs = layer(LABELS).numpy()
    changed = LABELS.copy()
    changed[:, 1] = [4, 2]
    moved = np.any(layer(changed) != outputs, axis=-1)
    np.testing.assert_array_equal(moved, [[False, False, True, True, False]] * 2)


def test_without_labels_there_is_the_start():
    layer = built(2)
    np.testing.assert_allclose(
        layer(LABELS[:, :0])[:, 0], layer.step(np.zeros([2, 2], np.int32)), atol=1e-6
    )


def test_the_row_of_the_blank_is_not_looked_up():
    layer = built(2)
    with tf.GradientTape() as tape:
        outputs = tf.reduce_sum(layer(LABELS) ** 2)
    gradient = tf.convert_to_tensor(tape.gradient(outputs, layer.embedding.embeddings.value))
    assert not np.any(gradient[0])
    assert np.all(np.any(gradient[1:5] != 0, axis=-1))


def test_its_embedding_is_on_the_grid():
    layer = built(2, "w4")
    table = layer.embedding.embeddings
    outputs = layer(LABELS).numpy()
    table.assign(reference.snap(table.numpy(), 4, axes=(1,)))
    np.testing.assert_allclose(layer(LABELS), outputs, rtol=1e-4, atol=1e-5)
