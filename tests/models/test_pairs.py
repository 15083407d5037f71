"""What every encoder passes with every prediction network."""

import itertools
import json
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.models.model_config import PredictorKind
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream
from int4_conformer.quant import Recipe
from tests.support import tiny
from tests.support.examples import heavy
from tests.support.pairs import BLOCK, ENCODERS, LABELS, LENGTHS, PCM, W4A8, W8A8, built, padded

BATCH = {"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}
# Each encoder and each prediction network once, and the others in the long tests; the first pair is
# what most other tests have, and of a cascade both encoders are Conformers.
ONCE = set(list(zip(ENCODERS, get_args(PredictorKind), strict=False))[1:])


def every_pair(light):
    """All pairs, those that are not among `light` for the long tests."""
    return [
        pytest.param(pair, marks=() if pair in light else pytest.mark.heavy, id="-".join(pair))
        for pair in itertools.product(ENCODERS, get_args(PredictorKind))
    ]


@pytest.fixture(scope="module", params=every_pair(ONCE))
def pair(request):
    return request.param


@pytest.fixture(scope="module")
def float_model(pair):
    return built(*pair, Recipe.preset("float"))


@pytest.fixture(scope="module")
def quantized_model(pair):
    # The LSTM's weights keep 8 bits.
    return built(*pair, W8A8 if "lstm" in pair else W4A8)


def transcripts(model, passes=None):
    found = model.recognize(PCM, LENGTHS, passes)
    rows = zip(found.ids.numpy(), found.count.numpy(), strict=True)
    return [row[:n].tolist() for row, n in rows]


def streamed(model, chunks):
    """Frames of the first pass, and the tokens of each, of segments of so many chunks."""
    config = model.config
    stream = TransducerStream(model, chunks * config.encoder.segment * 0.04)
    assert stream.samples == chunks * config.encoder.segment * BLOCK
    states = stream.initial_states(batch=3)
    frames, tokens = [], [[[], [], []] for _ in states]
    for pcm, length in _segments(PCM, LENGTHS, stream.samples):
        outputs, states[0] = stream.first_pass(pcm, length, states[0])
        frames.append(outputs["encoded"])
        _extend(tokens[0], outputs)
    frames = np.concatenate(frames, axis=1)
    if config.second_pass is not None:
        lengths = np.asarray(model.encoded_length(LENGTHS))
        for segment, length in _segments(frames, lengths, stream.second_frames):
            outputs, states[1] = stream.second_pass(segment, length, states[1])
            _extend(tokens[1], outputs)
    return frames, tokens


def _segments(x, lengths, size):
    """Segments [batch, size, ...] of [batch, time, ...], and what of each is real."""
    for start in range(0, x.shape[1], size):
        segment = x[:, start : start + size]
        missing = [[0, 0], [0, size - segment.shape[1]]] + [[0, 0]] * (x.ndim - 2)
        yield np.pad(segment, missing), np.clip(lengths - start, 0, size)


def _extend(tokens, outputs):
    for row, n in enumerate(outputs["count"].numpy()):
        tokens[row] += outputs["tokens"][row, :n].numpy().tolist()


def test_it_says_something(float_model):
    said = [symbol for tokens in transcripts(float_model) for symbol in tokens]
    # More than one symbol, so that what was heard decides.
    assert len(set(said)) > 1


def test_a_clone_and_a_saved_model_compute_the_same(tmp_path, quantized_model):
    config = json.loads(json.dumps(quantized_model.get_config()))
    assert Transducer.from_config(config).config == quantized_model.config
    quantized_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.config == quantized_model.config
    assert type(loaded.predictor) is type(quantized_model.predictor)
    assert loaded.joint.embedding is loaded.predictor.embedding
    assert [weight.path for weight in loaded.weights] == [
        weight.path for weight in quantized_model.weights
    ]
    np.testing.assert_array_equal(loaded(BATCH), quantized_model(BATCH))


def test_mixed_precision(pair, float_model):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = built(*pair, Recipe.preset("float"))
        logits = mixed(BATCH)
    finally:
        keras.config.set_dtype_policy(policy)
    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    assert logits.dtype == tf.float32
    expected = float_model(BATCH)
    assert not np.array_equal(logits, expected)
    np.testing.assert_allclose(logits, expected, atol=0.2 * np.abs(expected).max())
    assert np.mean(np.abs(logits - expected)) < 0.02 * np.mean(np.abs(expected))


def test_more_padding_changes_nothing(float_model):
    logits = float_model(BATCH)
    longer = float_model(BATCH | {"pcm": padded(30)})
    for row, frames in enumerate(np.asarray(float_model.encoded_length(LENGTHS))):
        np.testing.assert_allclose(longer[row, :frames], logits[row, :frames], atol=1e-4)


@pytest.mark.parametrize("chunks", [1, *heavy(3, 8)])
def test_streams_are_the_whole(float_model, chunks):
    frames, tokens = streamed(float_model, chunks)
    encoded = float_model.encode(PCM, LENGTHS)[0]
    for row, n in enumerate(np.asarray(float_model.encoded_length(LENGTHS))):
        np.testing.assert_allclose(frames[row, :n], encoded[row, :n], atol=1e-5)
    assert tokens == [transcripts(float_model, passes + 1) for passes in range(len(tokens))]


# Those of cascades are exported, and compared, in tests/export, and those of LSTMs below.
@pytest.mark.parametrize("pair", every_pair({("conformer", "conformer")}), indirect=True)
def test_streams_in_integers_have_the_same_words(quantized_model):
    _, tokens = streamed(quantized_model, 3)
    assert tokens == [transcripts(quantized_model, passes + 1) for passes in range(len(tokens))]


# What the other encoders are made of, XLA compiles in tests of its own.
@pytest.mark.parametrize("pair", every_pair({("transformer", "lookup")}), indirect=True)
def test_xla_compiles_it(quantized_model):
    compiled = tf.function(quantized_model, jit_compile=True, autograph=False)(BATCH)
    expected = quantized_model(BATCH).numpy()
    # A float's last bit seldom moves a code, and then what follows by what that code is worth.
    assert np.mean(np.abs(compiled - expected)) < 0.01 * np.mean(np.abs(expected))


# Files of the others are in tests/export.
@pytest.mark.parametrize("pair", every_pair({("lstm", "lstm")}), indirect=True)
def test_the_exported_file_says_the_same_whole_and_in_segments(tmp_path, quantized_model):
    path = tmp_path / "recognizer.tflite"
    export_tflite(quantized_model, tiny.TOKENIZER, path)
    recognizer, recognize = Recognizer(path, gated=False), tiny.recognition(quantized_model)
    block = quantized_model.config.block_samples
    for row, length in enumerate(LENGTHS):
        pcm = PCM[row, :length]
        # The runtime lets silence follow, to the end of the last chunk.
        expected = recognize(np.pad(pcm, [0, -length % block])).tolist()
        assert recognizer.tokens(pcm).tolist() == expected
        stream = recognizer.stream()
        for start in range(0, length, 1000):
            stream.feed(pcm[start : start + 1000])
        assert stream.finish().text == tiny.TOKENIZER.vocabulary.detokenize(expected)
