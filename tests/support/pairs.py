"""Small recognisers: every encoder with every prediction network."""

import dataclasses

import keras
import numpy as np

from int4_conformer.models.model_config import EncoderConfig, JointConfig, TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import QuantConfig, Recipe
from tests.support import tiny

CHUNK = 2
CONFORMER = EncoderConfig(
    dim=8, blocks=1, heads=2, kernel_size=3, expansion=2, chunk=CHUNK, left_context=4
)
ENCODERS = {
    "conformer": {"encoder": CONFORMER},
    "transformer": {"encoder": dataclasses.replace(CONFORMER, kind="transformer")},
    "lstm": {"encoder": dataclasses.replace(CONFORMER, kind="lstm", chunk=1)},
    "cascade": {
        "encoder": dataclasses.replace(CONFORMER, chunk=1),
        "second_pass": dataclasses.replace(CONFORMER, chunk=3),
    },
}
# As the presets, without a compiler for every shape.
W4A8, W8A8 = (
    Recipe(
        name=scheme,
        rules=((".*", dataclasses.replace(QuantConfig.from_name(scheme), backend="exact_float")),),
    )
    for scheme in ("w4c_a8d", "w8c_a8d")
)
VOCAB = tiny.TOKENIZER.vocabulary.size
BLOCK = 640
# The last utterance ends inside a frame.
LENGTHS = np.int32([13 * BLOCK, 5 * BLOCK, 9 * BLOCK - 100])
LABELS = np.int32([[1, 2, 3], [4, 5, 0], [6, 0, 0]])


def padded(blocks):
    """Noise that is louder in some places, with zeros past the end of each utterance."""
    rng = np.random.default_rng(0)
    loudness = np.exp(rng.uniform(-4, 0, [3, 13])).repeat(BLOCK, axis=1)
    pcm = 0.1 * loudness * rng.standard_normal(loudness.shape)
    pcm[np.arange(13 * BLOCK) >= LENGTHS[:, None]] = 0
    return np.pad(pcm, [[0, 0], [0, (blocks - 13) * BLOCK]]).astype(np.float32)


PCM = padded(18)


def say_words(model, blank, space):
    """Makes blanks and spaces likelier: words end, with pauses between them."""
    identity = np.eye(VOCAB)
    model.joint.output_bias.assign_add(blank * identity[0] + space * identity[1])


def built(encoder, predictor, recipe):
    """A model that emits symbols and blanks."""
    keras.utils.set_random_seed(0)
    model = Transducer(
        TransducerConfig(
            name="test",
            vocab_size=VOCAB,
            predictor=tiny.predictor_config(predictor),
            joint=JointConfig(dim=tiny.JOINT_DIM),
            recipe=recipe,
            max_symbols_per_frame=2,
            **ENCODERS[encoder],
        )
    )
    model.build()
    model.front_end.adapt([(PCM, LENGTHS)])
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        if len(weight.shape) == 1:
            weight.assign_add(0.2 * rng.standard_normal(weight.shape))
    # Fresh tables are small: scaled up, the symbols depend on what was heard.
    embeddings = model.predictor.embedding.embeddings
    embeddings.assign(4.0 * embeddings)
    # At a third of all points the blank is likelier than any label.
    logits = model({"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}).numpy()
    above = np.quantile(logits[..., 1:].max(axis=-1) - logits[..., 0], 1 / 3)
    model.joint.output_bias.assign_add(above * np.eye(1, VOCAB)[0])
    return model
