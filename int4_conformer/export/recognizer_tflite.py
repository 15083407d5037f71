"""From a trained transducer to one `.tflite` file that is the whole recogniser."""

import functools
import math
import os

from int4_conformer.errors import UserError, require_positive
from int4_conformer.export.recognizer_verification import verify_recognizer
from int4_conformer.export.signatures import ALIASES, signatures
from int4_conformer.export.trial import LENGTHS
from int4_conformer.export.write_tflite import write_tflite
from int4_conformer.models.model_config import SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.tflite.metadata import Metadata


def export_tflite(
    model: Transducer,
    tokenizer: Tokenizer | Spelling,
    output: str | os.PathLike,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
    fixed_seconds: float | None = None,
    verifies: bool = False,
) -> None:
    """Writes a recogniser: PCM in, token ids out, quantized weights as the trained integers.

    The file is read back and compared with the model before it takes its place at `output`.

    Args:
        model: trained.
        tokenizer: of its output ids.
        output: path of the file; replaced whole or not at all.
        segment_seconds: audio that a stream waits for at most, if the model can stream.
        fixed_seconds: longest utterance that is recognised as a whole, for runtimes that cannot
            size an input, such as Kotlin's `CompiledModel`; None for any length.
        verifies: whether the file is run beside the model before it is written: `verify_recognizer`
            in its quick form, which takes some seconds.

    Raises:
        UserError: the recipe mixes symmetric and asymmetric int8 activations, which no one runtime
            computes, the file does not hold the model's integers, LiteRT cannot run it, or it
            cannot be written.
    """

    block = model.config.block_samples
    fixed_samples = None
    if fixed_seconds is not None:
        require_positive(fixed_seconds=fixed_seconds)
        fixed_samples = block * math.ceil(
            fixed_seconds * model.config.front_end.sample_rate / block - 1e-6
        )

    def facts(delegate: str) -> Metadata:
        return Metadata(
            sample_rate=model.config.front_end.sample_rate,
            block_samples=block,
            vocabulary=tokenizer.vocabulary,
            recipe=model.config.recipe.name,
            delegate=delegate,
            model=model.config.to_config(),
            frame_samples=model.config.frame_samples,
            spelling=Spelling(
                vocabulary=tokenizer.vocabulary,
                # All alike where there is one way to spell a text.
                piece_scores=tokenizer.piece_scores if any(tokenizer.piece_scores or ()) else None,
                marks_first_word=tokenizer.marks_first_word,
                writing=tokenizer.writing,
            ),
            max_symbols_per_frame=model.config.max_symbols_per_frame,
            fixed_samples=fixed_samples,
        )

    # Whole blocks of audio.
    lengths = [count * block for count in LENGTHS]
    functions = signatures(model, segment_seconds, fixed_samples)
    check = {"check": functools.partial(_require_verified, model)} if verifies else {}
    write_tflite(functions, model, output, facts, ALIASES, lengths=lengths, **check)


def _require_verified(model: Transducer, content: bytes) -> None:
    for difference in verify_recognizer(content, model, quick=True).differences:
        raise UserError(
            f"The exported file does not compute what the model does: {difference}; it was not "
            "written."
        )
