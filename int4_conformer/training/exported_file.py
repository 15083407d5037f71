"""What a recogniser's file says of the model that it was exported of, without TensorFlow."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.text.tokenizer import Tokenizer, tokenizer_of
from int4_conformer.tflite import flatbuffer, metadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file that `int4-conformer export` wrote."""

    content: bytes = dataclasses.field(repr=False)
    # Sizes and recipe; without the CTC heads, which no file has.
    config: TransducerConfig
    tokenizer: Tokenizer
    # As `held_weights.HeldWeights` takes them.
    places: Mapping[str, Mapping[str, Any]]


def read_exported(path: str | os.PathLike) -> ExportedFile:
    """Reads a recogniser's file.

    Raises:
        UserError: the file is missing, damaged, no recogniser, or of before files told all weights.
    """
    content = flatbuffer.read_file(path)
    facts = metadata.read(content, str(path))
    if facts.weights is None or facts.spelling is None:
        raise UserError(
            f"{path} was exported by an earlier version, whose files do not tell all weights; "
            "export its training folder again."
        )
    with flatbuffer.damage_told(str(path)):
        config = TransducerConfig.from_config(facts.model)
    return ExportedFile(
        content=content,
        config=dataclasses.replace(config, ctc=False),
        tokenizer=tokenizer_of(facts.spelling),
        places=facts.weights,
    )
