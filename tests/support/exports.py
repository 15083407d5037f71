"""A recogniser in the forms that it is served in."""

import dataclasses
import functools
from pathlib import Path

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.models.transducer import Transducer
from tests.support import tiny

# Longest utterance of the SavedModel.
MAX_SECONDS = 3.0


@dataclasses.dataclass(kw_only=True)
class Exports:
    """A model and what is exported of it."""

    model: Transducer
    saved_model: Path

    @functools.cached_property
    def tflite(self) -> Path:
        """The `.tflite` file, made when it is first asked for."""
        path = self.saved_model.with_suffix(".tflite")
        export_tflite(self.model, tiny.TOKENIZER, path)
        return path


def exported(model: Transducer, folder: Path) -> Exports:
    """Exports a model into a folder."""
    folder = folder / "model"
    export_saved_model(model, tiny.TOKENIZER, folder, max_seconds=MAX_SECONDS)
    return Exports(model=model, saved_model=folder)
