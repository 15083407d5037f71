"""From a trained transducer to one `.tflite` file that is the whole recogniser."""

import os
import tempfile

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.files import require_place, write_beside
from int4_conformer.lite import flatbuffer, metadata
from int4_conformer.lite.packing import pack
from int4_conformer.lite.verification import verify
from int4_conformer.lite.weights import DeployedWeight
from int4_conformer.models.transducer import Transducer
from int4_conformer.serving.saved_model import save_recognition
from int4_conformer.serving.weights import deployed_weights
from int4_conformer.text.vocabulary import Vocabulary


def export_tflite(model: Transducer, vocabulary: Vocabulary, output: str | os.PathLike) -> None:
    """Writes a recogniser: PCM in, token ids out, quantized weights as the trained integers.

    The file is read back and compared with the model before it takes its place at `output`.

    Args:
        model: trained.
        vocabulary: what its output ids mean.
        output: path of the file; replaced whole or not at all.

    Raises:
        UserError: the recipe mixes symmetric and asymmetric int8 activations, which no one runtime
            computes, the file does not hold the model's integers, or it cannot be written.
    """
    require_place(output)
    with tempfile.TemporaryDirectory() as folder:
        deployment = save_recognition(model, folder, "float_twin")
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    weights = deployed_weights(deployment, model)
    delegate = _delegate(weights)
    parsed = flatbuffer.load(content)
    metadata.attach(
        parsed,
        metadata.Metadata(
            sample_rate=model.config.front_end.sample_rate,
            block_samples=model.config.front_end.block,
            vocabulary=vocabulary,
            recipe=model.config.recipe.name,
            delegate=delegate,
            model=model.config.to_config(),
        ),
    )
    content = metadata.seal(pack(parsed, weights))
    verify(content, weights)
    write_beside(output, content)


def _delegate(weights: list[DeployedWeight]) -> str:
    """Whose kernels compute the scheme: XNNPACK's are asymmetric, the builtin ones symmetric."""
    schemes = {weight.activation for weight in weights if weight.integer_kernel}
    if len(schemes) > 1:
        raise UserError(
            "The recipe has both symmetric and asymmetric int8 activations; a TFLite runtime "
            "computes one of them, so choose one for all layers."
        )
    return "none" if schemes == {"int8"} else "xnnpack"
