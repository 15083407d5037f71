"""What clients may know of a model."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server.refusals import RefusedError
from int4_conformer.tflite.inspection import inspect_tflite

_ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Of the one model of a server."""

    # By which clients ask for it.
    name: str
    # When its file was written, in seconds since 1970, and its size.
    created: int
    bytes: int
    parameters: int
    sample_rate: int
    hears_streams: bool
    recipe: str
    # Sizes that it was trained by, as its file names them.
    preset: str | None

    def __post_init__(self) -> None:
        if not self.name or set(self.name) - set(_ALLOWED):
            raise UserError(
                "A model's name has letters, digits and . _ - alone; give one with --name. "
                f"Received: {self.name!r}"
            )

    @classmethod
    def of(
        cls, path: str | os.PathLike, recognizer: Recognizer, name: str | None = None
    ) -> "ModelFacts":
        """Of a file; its name is that of the file, without the ending, if none is given."""
        status = os.stat(path)
        return cls(
            name=name or Path(path).stem,
            created=int(status.st_mtime),
            bytes=status.st_size,
            parameters=inspect_tflite(path).parameters,
            sample_rate=recognizer.sample_rate,
            hears_streams=recognizer.hears_streams,
            recipe=str(recognizer.metadata.recipe),
            preset=recognizer.metadata.model.get("name"),
        )

    def require(self, name: str) -> None:
        """Refuses the name of another model."""
        if name != self.name:
            raise RefusedError(
                404,
                "model_not_found",
                f"There is no model {name[:40]!r} here; the model is {self.name!r}.",
            )

    def json(self) -> dict[str, Any]:
        """As OpenAI's clients read it, and as those of TF Serving do."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "int4-conformer",
            "bytes": self.bytes,
            "parameters": self.parameters,
            "sample_rate": self.sample_rate,
            "hears_streams": self.hears_streams,
            "recipe": self.recipe,
            "preset": self.preset,
            "model_version_status": [
                {
                    "version": "1",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ],
        }
