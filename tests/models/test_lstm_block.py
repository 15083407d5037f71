import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.models.encoder import Encoder
from int4_conformer.models.lstm_block import LSTMBlock
from int4_conformer.models.model_config import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    TransducerConfig,
)
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import Recipe
from tests.support import tiny
from tests.support.examples import heavy
from tests.support.streaming import SEGMENTS_ALONE

DIM, TIME = 6, 24
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
LENGTHS = np.array([TIME, 13])
MASK = np.arange(TIME) < LENGTHS[:, None]
RECIPES = ["w8a8", *heavy("float")]
CHUNKS = [1, 4, None]


def config(chunk, **options):
    return EncoderConfig(kind="lstm", dim=DIM, blocks=2, expansion=2, chunk=chunk, **options)


def spread(layer):
    """Gives biases and norms other values than zeros and ones."""
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        if len(weight.shape) == 1:
            weight.assign_add(0.3 * rng.standard_normal(weight.shape))
    return layer


def block(chunk, recipe="float"):
    keras.utils.set_random_seed(0)
    layer = LSTMBlock(DIM, 2 * DIM, chunk=chunk, quant=recipe, name="block")
    layer.build(X.shape)
    return spread(layer)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(cell, x):
    """Outputs [time, units] of one utterance [time, dim]."""
    kernel, recurrent, bias = cell.get_weights()
    h = c = np.zeros(len(recurrent))
    outputs = []
    for frame in x:
        i, f, g, o = np.split(frame @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def expected(layer, x, chunk):
    """What the block makes of one utterance."""
    y = lstm(layer.forward, x)
    if chunk != 1:
        chunks = np.split(x, range(chunk or len(x), len(x), chunk or len(x)))
        backward = [lstm(layer.backward, part[::-1])[::-1] for part in chunks]
        y = np.concatenate([y, np.concatenate(backward)], axis=1)
    kernel, bias = layer.projection.get_weights()
    gamma, beta = layer.norm.get_weights()
    y = y @ kernel + bias
    y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    return y * gamma + beta


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_it_is_an_lstm_for_each_direction(chunk, mask):
    layer = block(chunk)
    y = layer(X, mask).numpy()
    for outputs, x, length in zip(y, X, LENGTHS if mask is not None else [TIME] * 2, strict=True):
        wanted = expected(layer, x[:length], chunk)
        np.testing.assert_allclose(outputs[:length], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["float", "w8a8"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_padded_frames_change_no_real_frame(chunk, recipe):
    layer = block(chunk, recipe)
    other = np.where(MASK[..., None], X, 100)
    y, changed = (layer(x, MASK).numpy()[MASK] for x in (X, other))
    np.testing.assert_array_equal(changed, y)


@pytest.mark.parametrize(
    ("chunk", "recipe"),
    [(1, "float"), *heavy((4, "w8a8"), (1, "w8a8"), (4, "float"), (None, "float"), (None, "w8a8"))],
)
def test_xla_has_the_same_gradients(chunk, recipe):
    layer = block(chunk, recipe)
    targets = np.random.default_rng(2).standard_normal(X.shape).astype(np.float32)

    def gradients():
        with tf.GradientTape() as tape:
            y = layer(X, MASK)
            loss = tf.reduce_sum(targets * tf.where(MASK[..., None], y, 0.0))
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    compiled = tf.function(gradients, jit_compile=True, autograph=False)()
    eager = gradients()
    assert len(eager) == (7 if chunk == 1 else 10)
    for one, other in zip(compiled, eager, strict=True):
        scale = np.abs(other).max()
        assert scale > 0
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-4)


# Recognisers of causal ones are exported, and `ProjectedLSTM` is checked in full.
@pytest.mark.parametrize(
    ("chunk", "options"), [(1, SEGMENTS_ALONE), (4, SEGMENTS_ALONE), *heavy((4, {}))]
)
def test_segments_are_the_whole(chunk, options):
    verify_steppable(block(chunk), X, LENGTHS, segments=(1, 3), **options)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("chunk", "segments"), [(4, (2,)), *heavy((1, (1, 3, 8)), (3, (1,)), (8, (1,)))]
)
def test_segments_of_an_encoder_are_the_whole(chunk, segments, recipe):
    keras.utils.set_random_seed(0)
    encoder = Encoder(config(chunk), 1, DIM, quant=recipe)
    encoder.build(X.shape)
    verify_steppable(encoder, X, LENGTHS, segments=segments, **SEGMENTS_ALONE)


def test_it_streams_without_a_left_context():
    state = Encoder(config(1), 1, DIM).initial_state(3)
    assert {name: tuple(value.shape) for name, value in state.items() if value.shape[1]} == {
        f"block_{n}/{name}": (3, 2 * DIM) for n in range(2) for name in ("h", "c")
    }


# A pair of `test_pairs.py` has a chunk of 1.
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("chunk", heavy(1, 4, None))
def test_a_file_gives_the_tokens_of_the_model(chunk, recipe, tmp_path):
    keras.utils.set_random_seed(0)
    model = Transducer(
        TransducerConfig(
            name="lstm",
            vocab_size=tiny.TOKENIZER.vocabulary.size,
            encoder=config(chunk),
            predictor=PredictorConfig(embedding_dim=8),
            joint=JointConfig(dim=8, tied=False),
            recipe=Recipe.preset(recipe),
        )
    )
    model.build()
    spread(model.encoder)
    # Else these weights never find the blank the likeliest.
    blank = np.eye(1, tiny.TOKENIZER.vocabulary.size, dtype=np.float32)[0]
    model.joint.output_dense.bias.assign_add(0.5 * blank)
    path = tmp_path / "lstm.tflite"
    export_tflite(model, tiny.TOKENIZER, path)
    recognizer, recognize = Recognizer(path, gated=False), tiny.recognition(model)
    counts = []
    for seed, blocks in enumerate((4, 24, 60)):
        pcm = tiny.speech(blocks, seed)
        tokens = recognize(pcm)
        np.testing.assert_array_equal(recognizer.tokens(pcm), tokens)
        counts.append(len(tokens))
    # The model neither is silent nor says all that it may in every frame.
    assert 0 < sum(counts) < 88 * model.config.max_symbols_per_frame
