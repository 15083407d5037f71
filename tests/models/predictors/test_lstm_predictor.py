import numpy as np

from int4_conformer.models import LSTMPredictor, PredictorConfig

VOCAB, DIM, UNITS, PROJECTION, OUTPUT = 6, 4, 7, 3, 5
LABELS = np.int32([[1, 5, 2, 2], [3, 0, 4, 1]])


def built():
    config = PredictorConfig(
        kind="lstm", embedding_dim=DIM, layers=2, units=UNITS, projection=PROJECTION
    )
    layer = LSTMPredictor(config, VOCAB, OUTPUT)
    layer.build()
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalized(norm, x):
    gamma, beta = norm.get_weights()
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * gamma + beta


def recurrence(layer, x):
    """[labels, in] -> [labels, PROJECTION], as arXiv 1402.1128 writes it, gate by gate."""
    kernel, recurrent, projection, bias = layer.get_weights()
    gates = [slice(n * UNITS, (n + 1) * UNITS) for n in range(4)]
    h, c, outputs = np.zeros(PROJECTION), np.zeros(UNITS), []
    for frame in x:
        i, f, g, o = (frame @ kernel[:, s] + h @ recurrent[:, s] + bias[s] for s in gates)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = (sigmoid(o) * np.tanh(c)) @ projection
        outputs.append(h)
    return np.array(outputs)


def test_it_is_an_lstm_with_projections_and_layer_norm():
    predictor = built()
    table = predictor.embedding.embeddings.numpy()
    table[0] = 0
    kernel, bias = predictor.projection.get_weights()
    for labels, outputs in zip(LABELS, predictor(LABELS), strict=True):
        x = table[[0, *labels]]
        for i, layer in enumerate(predictor.layers):
            x = normalized(predictor.layer_norms[i], recurrence(layer, x))
        x = x @ kernel + bias
        expected = normalized(predictor.norm, x * sigmoid(x))
        np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-4)


def test_steps_through_two_layers():
    predictor = built()
    state = predictor.initial_state(2)
    assert {name: tuple(part.shape) for name, part in state.items()} == {
        f"layer_{i}/{name}": (2, size)
        for i in range(2)
        for name, size in (("output", PROJECTION), ("carry", UNITS))
    }
    outputs = predictor(LABELS)
    for u, label in enumerate(np.pad(LABELS, [[0, 0], [1, 0]]).T):
        output, state = predictor.advance_label(label, state)
        np.testing.assert_allclose(output, outputs[:, u], atol=1e-5)
