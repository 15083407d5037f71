import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantLSTM, QuantLSTMCell
from int4_conformer.quant import QuantConfig
from tests.quant import reference
from tests.support import twins
from tests.support.deployments import traced

BATCH, TIME, WIDTH, UNITS = 2, 5, 6, 4
X = np.random.default_rng(0).standard_normal([BATCH, TIME, WIDTH]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [3]])


def built(layer):
    layer(X)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        if "kernel" in weight.path or "bias" in weight.path:
            weight.assign(rng.standard_normal(weight.shape))
    return layer


def both(options, quant=None):
    """The layer and that of Keras, with the same weights."""
    return built(QuantLSTM(UNITS, quant=quant, **options)), built(
        keras.layers.LSTM(UNITS, **options)
    )


def assert_all_close(one, other, **tolerance):
    one, other = tf.nest.flatten(one), tf.nest.flatten(other)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "return_state": True},
        {"go_backwards": True, "return_sequences": True},
        {"unroll": True},
        {"use_bias": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"unit_forget_bias": False, "implementation": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
def test_in_float_it_is_the_layer_of_keras(options, mask):
    layer, expected = both(options)
    assert_all_close(layer(X, mask=mask), expected(X, mask=mask))
    states = [tf.fill([BATCH, UNITS], value) for value in (0.3, -0.5)]
    y, wanted = (lstm(X, initial_state=states, mask=mask) for lstm in (layer, expected))
    assert_all_close(y, wanted)


def test_it_is_stateful_as_that_of_keras():
    layer, expected = both({"stateful": True})
    for lstm in (layer, expected):
        lstm.reset_state()
    first = layer(X)
    assert_all_close(first, expected(X))
    second = layer(X)
    assert_all_close(second, expected(X))
    assert np.any(first != second)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("scheme", ["int8_asymmetric", "int8_symmetric"])
def test_both_kernels_are_multiplied_as_integers(scheme):
    layer = built(QuantLSTM(UNITS, quant=QuantConfig(weight_bits=8, activation=scheme)))
    kernel, recurrent, bias = layer.get_weights()
    h = c = np.zeros([BATCH, UNITS], np.float32)
    for x in np.swapaxes(X, 0, 1):
        z = reference.dot(x, kernel, 8, scheme) + reference.dot(h, recurrent, 8, scheme) + bias
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(layer(X), h, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_at_the_weights_on_their_grids():
    layer, expected = both({"return_sequences": True}, quant="w4c")
    for one, other in zip(expected.weights, layer.weights, strict=True):
        on_grid = other.numpy()
        one.assign(reference.on_grid(on_grid, 4, axes=(0,)) if on_grid.ndim == 2 else on_grid)
    found = []
    for lstm in (layer, expected):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(lstm(X) ** 3)
        found.append(tape.gradient(loss, [weight.value for weight in lstm.trainable_weights]))
    assert_all_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("quant", [None, "w8a8"])
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.3, 0.3)], ids=str)
def test_the_cell_in_an_rnn_is_the_layer(rates, quant):
    options = dict(zip(("dropout", "recurrent_dropout"), rates, strict=True)) | {"seed": 3}
    layer = built(QuantLSTM(UNITS, quant=quant, return_sequences=True, **options))
    cell = QuantLSTMCell(UNITS, quant=quant, **options)
    rnn = built(keras.layers.RNN(cell, return_sequences=True))
    assert_all_close(layer(X), rnn(X))
    dropped = layer(X, training=True)
    np.testing.assert_array_equal(dropped.shape, rnn(X, training=True).shape)
    assert np.any(dropped != layer(X))


def test_dropout_is_that_of_keras():
    layer, expected = both({"dropout": 0.5, "seed": 3})
    assert_all_close(layer(X, training=True), expected(X, training=True))


def test_recurrent_dropout_is_the_same_in_all_frames():
    # The layer draws its seed as it is made.
    keras.utils.set_random_seed(2)
    # States pass through unchanged: z = h for the candidate, all gates open but the forget gate.
    layer = QuantLSTM(
        UNITS,
        recurrent_dropout=0.5,
        activation=None,
        recurrent_activation="relu",
        unit_forget_bias=False,
    )
    layer.build([1, 3, WIDTH])
    kernel, recurrent, bias = (np.zeros(weight.shape) for weight in layer.weights)
    gates = recurrent.reshape(UNITS, 4, UNITS)
    gates[:, 2] = np.eye(UNITS)
    bias.reshape(4, UNITS)[[0, 3]] = 1
    layer.set_weights([kernel, gates.reshape(UNITS, -1), bias])
    state = np.ones([1, UNITS], np.float32)
    y = layer(np.zeros([1, 3, WIDTH], np.float32), initial_state=[state, state], training=True)
    # What is kept is doubled in each of the three frames.
    assert set(np.unique(y)) == {0, 8}


def test_masked_frames_do_not_matter():
    layer = built(QuantLSTM(UNITS, quant="w8a8"))
    other = np.where(MASK[..., None], X, 100)
    np.testing.assert_array_equal(layer(X, mask=MASK), layer(other, mask=MASK))


def test_a_sequence_is_one_step():
    layer = built(QuantLSTM(UNITS, quant=QuantConfig(weight_bits=8, start_step=9)))
    for _ in range(3):
        layer(X, training=True)
    assert layer.cell.quant_step.numpy() == 3


def test_kernels_are_quantized_outside_the_loop():
    layer = built(QuantLSTM(UNITS, quant="w8c"))
    graph = tf.function(layer, autograph=False).get_concrete_function(X).graph.as_graph_def()
    (body,) = (f for f in graph.library.function if "while_body" in f.signature.name)
    assert "MatMul" in {node.op for node in body.node_def}
    assert "Round" not in {node.op for node in body.node_def}
    outside = [graph.node, *(f.node_def for f in graph.library.function if f is not body)]
    rounds = sum(node.op == "Round" for nodes in outside for node in nodes)
    assert rounds == 2


def test_it_works_in_both_directions():
    layer = built(keras.layers.Bidirectional(QuantLSTM(UNITS, quant="w8a8")))
    forward = layer.forward_layer
    assert isinstance(layer.backward_layer, QuantLSTM)
    assert layer.backward_layer.cell.quant == forward.cell.quant == forward.quant
    np.testing.assert_array_equal(layer(X)[:, :UNITS], forward(X))


def test_cudnn_is_refused():
    with pytest.raises(UserError, match=r"cuDNN multiplies in float; .* Received: use_cudnn=True"):
        QuantLSTM(UNITS, use_cudnn=True)


def test_the_cell_of_keras_leaves_no_trace():
    layer = QuantLSTM(UNITS, quant="w8a8")
    assert [type(sublayer) for sublayer in layer._flatten_layers(include_self=False)] == [
        QuantLSTMCell
    ]


def test_a_file_multiplies_the_same_integers():
    layer = built(QuantLSTM(UNITS, quant="w8a8", return_sequences=True, unroll=True))
    content = twins.packed(layer, X[:1])
    assert "FULLY_CONNECTED" in twins.operators(content)
    np.testing.assert_allclose(twins.run(content, X[:1]), layer(X[:1]), rtol=1e-4, atol=1e-5)


def test_a_server_multiplies_the_same_integers():
    layer = built(QuantLSTM(UNITS, quant="w8a8"))
    graph, deployment = traced(layer, "integers", tf.TensorSpec(X.shape))
    assert len(deployment.matrices) == 2
    np.testing.assert_allclose(graph(X), layer(X), rtol=1e-5, atol=1e-6)
