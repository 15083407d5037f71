"""What `verify_steppable` notices."""

import keras
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.layers.steppable import Steppable, follow
from tests.support.streaming import SEGMENTS_ALONE, noise

DIM = 3


@keras.saving.register_keras_serializable(package="test")
class Echo(Steppable, keras.layers.Layer):
    """Adds the frame before to each frame."""

    def __init__(self, gain=0.5, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain

    def initial_state(self, batch):
        return {"frame": tf.zeros([batch, 1, DIM])}

    def advance(self, x, padding_mask, state, training):
        both, frame = follow(state and state["frame"], x, 1)
        return x + self.gain * both[:, :-1], None if state is None else {"frame": frame}

    def get_config(self):
        return super().get_config() | {"gain": self.gain}


class LooksAhead(Echo):
    """Beyond its segment, where there is nothing yet."""

    def advance(self, x, padding_mask, state, training):
        return x + tf.pad(x[:, 1:], [[0, 0], [0, 1], [0, 0]]), state


class HearsPadding(Echo):
    """In the chunk in which an utterance ends."""

    segment_multiple = 4

    def advance(self, x, padding_mask, state, training):
        chunks = tf.reshape(x, [len(x), -1, 4, DIM])
        return tf.reshape(chunks - tf.reduce_mean(chunks, axis=2, keepdims=True), x.shape), state


class ForgetsState(Echo):
    """Begins anew with each segment."""

    def advance(self, x, padding_mask, state, training):
        return super().advance(x, padding_mask, None, training)[0], state


class ChangesType(Echo):
    """Of its state."""

    def advance(self, x, padding_mask, state, training):
        y, after = super().advance(x, padding_mask, state, training)
        return y, after and {"frame": tf.cast(after["frame"], tf.float16)}


class ChangesShape(Echo):
    """Of its state: it remembers all that it has heard."""

    def advance(self, x, padding_mask, state, training):
        y, after = super().advance(x, padding_mask, state, training)
        return y, after and {"frame": tf.concat([state["frame"], after["frame"]], axis=1)}


@keras.saving.register_keras_serializable(package="test")
class ForgetsSetting(Echo):
    """When it is saved."""

    def get_config(self):
        config = super().get_config()
        del config["gain"]
        return config


def test_a_layer_that_keeps_the_contract_passes():
    verify_steppable(Echo(gain=0.25), noise([2, 9, DIM]), lengths=[9, 5])


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_any_number_of_utterances(batch):
    lengths = [9, 5, 7, 1, 2, 3, 4, 9][:batch]
    verify_steppable(Echo(), noise([batch, 9, DIM]), lengths, **SEGMENTS_ALONE)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (LooksAhead(), "segments of 1"),
        (HearsPadding(), "segments of 3"),
        (ForgetsState(), "segments of 1"),
        (ChangesType(), "a step changed the state from"),
        (ChangesShape(), "a step changed the state from"),
        (ForgetsSetting(gain=0.25), "the saved layer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Echo) else "",
)
def test_a_layer_that_breaks_it_fails(layer, message):
    with pytest.raises(AssertionError, match=message):
        verify_steppable(layer, noise([2, 9, DIM]), lengths=[9, 5], exports=False)
