import numpy as np
import pytest

from int4_conformer.models import AveragedEmbeddingPredictor, PredictorConfig

VOCAB, DIM, OUTPUT = 6, 4, 5
LABELS = np.int32([[1, 5, 2, 2], [3, 0, 4, 1]])


def built(context, heads=3, train_positions=True):
    config = PredictorConfig(
        embedding_dim=DIM, context=context, heads=heads, train_positions=train_positions
    )
    layer = AveragedEmbeddingPredictor(config, VOCAB, OUTPUT)
    layer.build()
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
    if heads > 1:
        average /= heads * context
    kernel, bias = layer.projection.get_weights()
    projected = average @ kernel + bias
    projected = projected / (1 + np.exp(-projected))
    gamma, beta = layer.norm.get_weights()
    centred = projected - projected.mean()
    return centred / np.sqrt(projected.var() + 1e-5) * gamma + beta


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("context", [1, 2, 3, 5])
def test_it_is_equation_1(context, heads):
    layer = built(context, heads)
    outputs = layer(LABELS)
    assert outputs.shape == (2, 5, OUTPUT)
    for labels, row in zip(LABELS, outputs, strict=True):
        for u, output in enumerate(row):
            history = [0] * context + labels[:u].tolist()
            expected = equation_1(layer, history[len(history) - context :])
            np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-4)


def test_a_position_sees_just_the_labels_in_its_context():
    layer = built(2)
    outputs = layer(LABELS).numpy()
    changed = LABELS.copy()
    changed[:, 1] = [4, 2]
    moved = np.any(layer(changed) != outputs, axis=-1)
    np.testing.assert_array_equal(moved, [[False, False, True, True, False]] * 2)


def test_fixed_position_vectors_do_not_train():
    layer = built(2, train_positions=False)
    assert {weight.name for weight in layer.non_trainable_weights} == {"position_vectors"}
    assert np.any(layer.position_vectors[0] != layer.position_vectors[1])
    assert not built(2).non_trainable_weights
