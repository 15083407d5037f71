"""What Keras has no public name for, and that we rely on: a release that changes it fails here."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantLSTM, QuantMultiHeadAttention
from int4_conformer.layers.keras_internals import own_variables, sublayers

BATCH, TIME, WIDTH = 2, 5, 6
X = np.random.default_rng(0).standard_normal([BATCH, TIME, WIDTH]).astype(np.float32)


def parameters(method):
    return list(inspect.signature(method).parameters)


class Nested(keras.layers.Layer):
    """With layers in attributes and lists, one of which holds another."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.listed = [keras.layers.Dense(4), keras.layers.Bidirectional(keras.layers.LSTM(2))]
        self.norm = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.first = self.add_weight(shape=[1], name="first")
        self.fixed = self.add_weight(shape=[2], trainable=False, name="fixed")
        self.last = self.add_weight(shape=[3], name="last")
        self.dense.build(input_shape)


def test_the_layers_that_a_layer_holds_itself():
    layer = Nested()
    assert sublayers(layer) == [layer.dense, *layer.listed, layer.norm]


def test_the_layers_that_a_model_holds_itself():
    inner = keras.Sequential([keras.Input([3]), keras.layers.Dense(3), keras.layers.ReLU()])
    inputs = keras.Input([3])
    model = keras.Model(inputs, inner(inputs))
    assert sublayers(model) == model.layers
    assert inner in sublayers(model)


def test_a_layers_own_variables_are_those_that_keras_stores_in_their_order():
    layer, store = Nested(), {}
    layer.build([None, 3])
    assert own_variables(layer) == [layer.first, layer.last, layer.fixed]
    layer.save_own_variables(store)
    assert [store[str(i)].shape for i in range(len(store))] == [(1,), (3,), (2,)]


@pytest.fixture(scope="module")
def attention():
    layer = keras.layers.MultiHeadAttention(2, 4)
    layer.build(X.shape, X.shape)
    return layer


def test_attention_has_the_parts_that_an_override_multiplies_with(attention):
    rng = np.random.default_rng(1)
    query, key, value = (
        tf.constant(rng.standard_normal([BATCH, TIME, 2, 4]), tf.float32) for _ in range(3)
    )
    mask = tf.constant(rng.random([BATCH, TIME, TIME]) < 0.7) | tf.eye(TIME, dtype=tf.bool)
    assert attention._inverse_sqrt_key_dim == 0.5
    logits = tf.einsum(attention._dot_product_equation, key, 0.5 * query)
    scores = attention._masked_softmax(logits, mask)
    dropped = attention._dropout_layer(scores, training=False)
    context = tf.einsum(attention._combine_equation, dropped, value)
    expected = attention._compute_attention(query, key, value, mask, False, True)
    for one, other in zip((context, scores), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_attention_gives_an_override_what_it_takes():
    ours = parameters(QuantMultiHeadAttention._compute_attention)
    # Later ones Keras keeps to itself.
    assert parameters(keras.layers.MultiHeadAttention._compute_attention)[: len(ours)] == ours
    given = []

    class Attention(keras.layers.MultiHeadAttention):
        def _compute_attention(self, *args, **kwargs):
            given.append(inspect.signature(Attention.known).bind(self, *args, **kwargs).arguments)
            return super()._compute_attention(*args, **kwargs)

        known = QuantMultiHeadAttention._compute_attention

    Attention(2, 4)(X, X, use_causal_mask=True)
    (arguments,) = given
    assert [arguments[name].shape for name in ours[1:4]] == [(BATCH, TIME, 2, 4)] * 3
    np.testing.assert_array_equal(arguments["attention_mask"][0], np.tri(TIME) > 0)


def test_attention_sets_each_projection_as_an_attribute():
    projections = []

    class Attention(keras.layers.MultiHeadAttention):
        def __setattr__(self, name, value):
            if type(value) is keras.layers.EinsumDense:
                projections.append(value.name)
            super().__setattr__(name, value)

    layer = Attention(2, 4, use_gate=True)
    assert layer._use_gate
    layer.build(X.shape, X.shape)
    assert sorted(projections) == ["attention_output", "gate", "key", "query", "value"]


def test_an_lstm_sets_its_cell_as_an_attribute_and_takes_steps_in_its_inner_loop():
    calls = []

    class LSTM(keras.layers.LSTM):
        def __setattr__(self, name, value):
            if type(value) is keras.layers.LSTMCell:
                calls.append(name)
            super().__setattr__(name, value)

        def inner_loop(self, sequences, initial_state, mask, training=False):
            calls.append((sequences.shape, [state.shape for state in initial_state]))
            return super().inner_loop(sequences, initial_state, mask, training)

    ours = parameters(QuantLSTM.inner_loop)
    assert parameters(keras.layers.LSTM.inner_loop) == ours
    LSTM(3, use_cudnn=False)(X)
    assert calls == ["cell", ((BATCH, TIME, WIDTH), [(BATCH, 3)] * 2)]


def test_the_inner_loop_of_an_lstm_calls_its_cell_with_frames_of_what_it_is_given():
    layer = keras.layers.LSTM(3, use_cudnn=False, unroll=True)
    layer.build(X.shape)
    frames, call = [], layer.cell.call

    def spy(inputs, *args, **kwargs):
        frames.append(inputs)
        return call(inputs, *args, **kwargs)

    layer.cell.call = spy
    zeros = tf.zeros([BATCH, 3])
    last, _, _ = layer.inner_loop(tf.constant(X), [zeros, zeros], None)
    np.testing.assert_array_equal(tf.stack(frames, axis=1), X)
    np.testing.assert_array_equal(last, layer(X))


def test_keras_adds_nothing_to_an_error_with_the_mark():
    class Refuses(keras.layers.Layer):
        def __init__(self, error):
            super().__init__()
            self.error = error

        def call(self, x):
            raise self.error("Too wide.")

    with pytest.raises(UserError) as marked:
        Refuses(UserError)(X)
    assert str(marked.value) == "Too wide."
    with pytest.raises(ValueError, match="Arguments received") as plain:
        Refuses(ValueError)(X)
    assert hasattr(plain.value, "_keras_call_info_injected")
