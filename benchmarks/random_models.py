"""Recognisers with random weights, for what does not depend on their values."""

from pathlib import Path

import keras
import numpy as np

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import BLANK, Vocabulary


def transducer(config: TransducerConfig) -> Transducer:
    """The same weights each time; the blank is the likeliest in every frame, as in most of
    speech."""
    keras.utils.set_random_seed(0)
    model = Transducer(config)
    model.build()
    bias = 100.0 * np.eye(1, config.vocab_size, dtype=np.float32)[0]
    for joint in {id(decoder.joint): decoder.joint for decoder in model.decoders}.values():
        joint.output_bias.assign(bias)
    return model


def export(model: Transducer, file: Path, **settings: float) -> None:
    """Writes its file, whose symbols are made up; settings are those of `export_tflite`."""
    pieces = (BLANK, *(f"p{i}" for i in range(1, model.config.vocab_size)))
    export_tflite(model, Spelling(vocabulary=Vocabulary(pieces=pieces)), file, **settings)
