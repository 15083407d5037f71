"""From a trained transducer to one `.tflite` file that is the whole recogniser."""

import os

from int4_conformer.export.signatures import signatures
from int4_conformer.export.trial import LENGTHS
from int4_conformer.export.write_tflite import write_tflite
from int4_conformer.models.model_config import SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite.metadata import Metadata


def export_tflite(
    model: Transducer,
    vocabulary: Vocabulary,
    output: str | os.PathLike,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
) -> None:
    """Writes a recogniser: PCM in, token ids out, quantized weights as the trained integers.

    The file is read back and compared with the model before it takes its place at `output`.

    Args:
        model: trained.
        vocabulary: what its output ids mean.
        output: path of the file; replaced whole or not at all.
        segment_seconds: audio that a stream waits for at most, if the model can stream.

    Raises:
        UserError: the recipe mixes symmetric and asymmetric int8 activations, which no one runtime
            computes, the file does not hold the model's integers, LiteRT cannot run it, or it
            cannot be written.
    """

    def facts(delegate: str) -> Metadata:
        return Metadata(
            sample_rate=model.config.front_end.sample_rate,
            block_samples=model.config.block_samples,
            vocabulary=vocabulary,
            recipe=model.config.recipe.name,
            delegate=delegate,
            model=model.config.to_config(),
            frame_samples=model.config.frame_samples,
        )

    # Whole blocks of audio.
    lengths = [count * model.config.block_samples for count in LENGTHS]
    write_tflite(signatures(model, segment_seconds), model, output, facts, lengths=lengths)
