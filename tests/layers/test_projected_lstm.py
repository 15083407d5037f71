import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.layers import ProjectedLSTM
from int4_conformer.quant import QuantConfig
from tests.quant import reference
from tests.support.streaming import noise

BATCH, TIME, WIDTH, UNITS, PROJECTION = 2, 5, 6, 4, 3
X = np.random.default_rng(0).standard_normal([BATCH, TIME, WIDTH]).astype(np.float32)


def built(quant=None):
    layer = ProjectedLSTM(UNITS, PROJECTION, quant=quant)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        if "kernel" in weight.name or "bias" in weight.name:
            weight.assign(rng.standard_normal(weight.shape))
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected(layer, dot):
    """Outputs by the equations of the docstring, with `dot` for each product."""
    kernel, recurrent, projection, bias = layer.get_weights()
    h, c, outputs = np.zeros([BATCH, PROJECTION], np.float32), np.zeros([BATCH, UNITS]), []
    for x in np.swapaxes(X, 0, 1):
        i, f, g, o = np.split(dot(x, kernel) + dot(h, recurrent) + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = dot((sigmoid(o) * np.tanh(c)).astype(np.float32), projection)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def test_it_is_the_equations():
    layer = built()
    np.testing.assert_allclose(layer(X), expected(layer, np.matmul), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scheme", ["int8_asymmetric", "int8_symmetric"])
def test_all_kernels_are_multiplied_as_integers(scheme):
    layer = built(QuantConfig(weight_bits=8, activation=scheme))
    wanted = expected(layer, lambda x, w: reference.dot(x, w, 8, scheme))
    np.testing.assert_allclose(layer(X), wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(wanted - expected(layer, np.matmul)).max() > 1e-3


def test_kernels_are_quantized_outside_the_loop():
    graph = tf.function(built("w8c"), autograph=False).get_concrete_function(X).graph.as_graph_def()
    (body,) = (f for f in graph.library.function if "while_body" in f.signature.name)
    assert "MatMul" in {node.op for node in body.node_def}
    assert "Round" not in {node.op for node in body.node_def}
    outside = [graph.node, *(f.node_def for f in graph.library.function if f is not body)]
    rounds = sum(node.op == "Round" for nodes in outside for node in nodes)
    assert rounds == 3


def test_gradients_are_those_at_the_weights_on_their_grids():
    layer, on_grid = built("w4c"), built()
    for weight, other in zip(on_grid.weights, layer.weights, strict=True):
        value = other.numpy()
        weight.assign(reference.on_grid(value, 4, axes=(0,)) if value.ndim == 2 else value)
    found = []
    for lstm in (layer, on_grid):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(lstm(X) ** 3)
        found.append(tape.gradient(loss, [weight.value for weight in lstm.weights]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_forget_gate_starts_open():
    layer = ProjectedLSTM(UNITS, PROJECTION)
    layer.build([None, WIDTH])
    np.testing.assert_array_equal(layer.bias, np.repeat([0, 1, 0, 0], UNITS))


def test_a_sequence_is_one_step():
    layer = built(QuantConfig(weight_bits=8, start_step=9))
    for _ in range(3):
        layer(X, training=True)
    assert layer.quant_step.numpy() == 3


def test_segments_are_the_whole():
    verify_steppable(built(), noise([3, 13, WIDTH]), lengths=[13, 5, 9])
