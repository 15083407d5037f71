import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.models.beam_transducer_stream import BeamTransducerStream
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream
from int4_conformer.search.beam_config import BeamConfig
from tests.support import tiny
from tests.support.examples import heavy

CHUNKED = dataclasses.replace(tiny.ENCODER, chunk=2, left_context=4)
SECONDS = 0.08
PCM = tiny.speech(16)[None]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(
        tiny.config("float"), encoder=CHUNKED, second_pass=dataclasses.replace(CHUNKED, chunk=4)
    )
    model = Transducer(config)
    model.build()
    # Both passes then say something in some frames.
    model.joint.output_bias.assign(1.5 * np.eye(1, tiny.TOKENIZER.vocabulary.size)[0])
    return model


@pytest.fixture(scope="module")
def greedy(model):
    """What each pass says of the whole."""
    return [model.recognize(PCM, passes=passes) for passes in (1, 2)]


def streamed(stream, pcm):
    """What each pass says of each segment, and the states after the last ones."""
    states = stream.initial_states(1)
    outputs, encoded = ([], []), []
    for start in range(0, pcm.shape[1], stream.samples):
        segment = pcm[:, start : start + stream.samples]
        found, states[0] = stream.first_pass(segment, tf.constant([stream.samples]), states[0])
        outputs[0].append(found)
        encoded.append(found["encoded"])
    encoded = tf.concat(encoded, axis=1)
    for start in range(0, encoded.shape[1], stream.second_frames):
        segment = encoded[:, start : start + stream.second_frames]
        found, states[1] = stream.second_pass(
            segment, tf.constant([stream.second_frames]), states[1]
        )
        outputs[1].append(found)
    return outputs, states


def assert_same(segments, whole):
    """Joined, the outputs are the tokens of the whole."""
    count = int(whole.count[0])
    assert count > 0
    for name, expected in zip(
        ("tokens", "frames", "log_probs"), whole[:1] + whole[2:], strict=True
    ):
        joined = [segment[name][0, : int(segment["count"][0])] for segment in segments]
        np.testing.assert_allclose(np.concatenate(joined), expected[0, :count], atol=1e-4)
        assert not any(np.any(segment[name][0, int(segment["count"][0]) :]) for segment in segments)


def test_tokens_of_segments_have_the_frames_of_the_whole(model, greedy):
    outputs, _ = streamed(TransducerStream(model, SECONDS), PCM)
    for segments, whole in zip(outputs, greedy, strict=True):
        assert_same(segments, whole)


@pytest.mark.parametrize("beam_size", [4, *heavy(1)])
def test_a_beam_says_in_segments_what_it_says_of_the_whole(model, greedy, beam_size):
    config = BeamConfig(beam_size=beam_size)
    stream = BeamTransducerStream(model, SECONDS, config=config, room=64)
    outputs, states = streamed(stream, PCM)
    for index, segments in enumerate(outputs):
        segments.append(stream.finish(index, states[index]))
        whole = model.beam_search(PCM, passes=index + 1, config=config).best
        if beam_size == 1:
            assert_same(segments, whole)
            assert_same(segments, greedy[index])
        else:
            joined = [segment["tokens"][0, : int(segment["count"][0])] for segment in segments]
            np.testing.assert_array_equal(
                np.concatenate(joined), whole.ids[0, : int(whole.count[0])]
            )
