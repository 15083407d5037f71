"""A recogniser small enough to train in a test, and a corpus for it."""

import functools
import json

import keras
import numpy as np
import soundfile
import tensorflow as tf

from int4_conformer.export.trace import deployed_weights
from int4_conformer.models.model_config import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    TransducerConfig,
)
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.text.graphemes import Graphemes
from tests.support import deployments

ENCODER = EncoderConfig(dim=16, blocks=1, heads=2, kernel_size=5)
JOINT_DIM = 8
TOKENIZER = Graphemes(charset=" abcdefghij")

_W4A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")
# Quantizes a part of the model.
ENCODER_ALONE = Recipe(name="encoder_w4a8", rules=(("encoder/.*", _W4A8), (".*", QuantConfig())))
# Has weights of all widths that files hold, float ones too.
TWO_FOUR_EIGHT = Recipe(
    name="two_four_eight",
    rules=(
        ("encoder/block_0/convolution/.*", QuantConfig()),
        ("encoder/block_0/ffn_.*", QuantConfig.from_name("w2c_a8d")),
        ("encoder/.*", _W4A8),
        (".*", QuantConfig.from_name("w8c_a8d")),
    ),
)

# Text and split of each utterance of `write_corpus`.
TEXTS = (
    ("ab", "train"),
    ("b a", "train"),
    ("A, b!", "train"),
    ("ba ab", "train"),
    ("a b", "dev"),
    ("", "dev"),
)


def write_corpus(folder):
    """Writes noise as 0.3 s of speech, with a manifest, whose path is returned."""
    lines = []
    for index, (text, split) in enumerate(TEXTS):
        noise = np.random.default_rng(index).uniform(-0.3, 0.3, 4800)
        soundfile.write(folder / f"{index}.wav", noise, 16000)
        lines.append(json.dumps({"audio": f"{index}.wav", "text": text, "split": split}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def predictor_config(kind="averaged", **sizes):
    """Sizes of a prediction network of a kind."""
    small = {"layers": 1, "units": 12, "projection": 10}
    return PredictorConfig(kind=kind, embedding_dim=JOINT_DIM, **(small | sizes))


def config(recipe="w4a8", tied=True, predictor="averaged", ctc=False):
    """Sizes of the recogniser; `recipe` is a `Recipe` or the name of a preset."""
    return TransducerConfig(
        name="test",
        vocab_size=TOKENIZER.vocabulary.size,
        encoder=ENCODER,
        predictor=predictor_config(predictor),
        joint=JointConfig(dim=JOINT_DIM, tied=tied),
        recipe=Recipe.preset(recipe) if isinstance(recipe, str) else recipe,
        ctc=ctc,
    )


def model(recipe="w4a8", tied=True, predictor="averaged", ctc=False):
    """An untrained recogniser, the same each time; its biases are not zero."""
    keras.utils.set_random_seed(0)
    transducer = Transducer(config(recipe, tied, predictor, ctc))
    transducer.build()
    for variable in transducer.trainable_variables:
        if variable.path.endswith("bias"):
            variable.assign(keras.random.normal(variable.shape, stddev=0.1))
    if not tied:
        # Otherwise these weights never find the blank the likeliest.
        blank = np.eye(1, TOKENIZER.vocabulary.size, dtype=np.float32)[0]
        transducer.joint.output_dense.bias.assign_add(blank)
    return transducer


@functools.cache
def shared_model(recipe="w4a8", tied=True):
    """`model`, made once for all tests: to look at, not to change."""
    return model(recipe, tied)


@functools.cache
def shared_weights(recipe="w4a8", tied=True):
    """The deployed weights of `shared_model`."""
    transducer = shared_model(recipe, tied)
    spec = tf.TensorSpec([1, None])
    _, deployment = deployments.traced(transducer.recognize, "float_twin", spec)
    return deployed_weights(deployment, transducer)


def speech(blocks, seed=0):
    """Noise in place of speech, float32 [640 * blocks]."""
    noise = np.random.default_rng(seed).standard_normal(640 * blocks)
    return (0.1 * noise).clip(-1, 1).astype(np.float32)


def recognition(model):
    """A function from PCM [samples] to the tokens that the model itself finds in it."""

    def tokens(pcm):
        found = model.recognize(pcm[None])
        return found.ids[0, : int(found.count[0])].numpy()

    return tokens


def trained_variables(trainer):
    """All variables that a trainer changes and resumes with."""
    return [
        *trainer.model.weights,
        *trainer.model.optimizer.variables,
        *trainer._average._averages,
        trainer._step,
    ]
