"""Which trained recognisers come with the package: what lies in this folder.

A model is three files: `NAME.tflite`, `NAME.json` (the other fields of `PretrainedModel`) and
`NAME.md`, its card. `python export/add_pretrained.py` writes them.
"""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.files import sha256_of

FOLDER = Path(__file__).parent
# The models of the folder together have at most so many bytes: they come with every installation.
MOST_BYTES = 8_000_000

# Neither a path nor the name of a file with an ending.
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedModel:
    """A trained recogniser of the package.

    Raises:
        UserError: its name is none that a command could take.
    """

    # Lower-case letters, digits and underscores.
    name: str
    # What it hears, in a line for people.
    hears: str
    # Whether it hears speech while it is spoken.
    streams: bool
    # Of the file.
    bytes: int
    # Number of weights.
    parameters: int
    # Of the file, in hexadecimal digits.
    sha256: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                "The name of a model has lower-case letters, digits and underscores alone, and "
                f"begins with a letter. Received: {self.name!r}"
            )

    @property
    def file(self) -> Path:
        """Its `.tflite` file, which is looked at first.

        Raises:
            UserError: the file is not what was packed.
        """
        path = FOLDER / f"{self.name}.tflite"
        if not path.is_file() or sha256_of(path) != self.sha256:
            raise UserError(
                f"The file of the model {self.name!r} is missing or damaged ({path}); install "
                "int4-conformer again."
            )
        return path

    @property
    def card(self) -> str:
        """What it was trained on, how well it hears and what it cannot do, in Markdown."""
        return (FOLDER / f"{self.name}.md").read_text("utf-8")

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)


def pretrained_models() -> dict[str, PretrainedModel]:
    """The models of the package by name, in the order of their names; there may be none."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        found[path.stem] = PretrainedModel(name=path.stem, **json.loads(path.read_text("utf-8")))
    return found


def pretrained_model(name: str) -> PretrainedModel:
    """The model of a name.

    Raises:
        UserError: there is none.
    """
    models = pretrained_models()
    if name in models:
        return models[name]
    if not models:
        raise UserError(
            f"There is no model {name!r}: no models come with this version; give a .tflite file."
        )
    raise UserError(
        f"There is no model {name!r}{did_you_mean(name, models)}; the models that come with the "
        f"package are {', '.join(models)}."
    )


def named_file(given: str) -> str:
    """The file of a model of the package where its name was given; else what was given.

    A file or folder of that name is meant before the model.
    """
    models = {} if os.path.lexists(given) else pretrained_models()
    return str(models[given].file) if given in models else given


def model_file(given: str) -> str:
    """The file that a user means by a path, or by the name of a model of the package.

    Returns:
        a path, which need not exist.

    Raises:
        UserError: it is a name, and there is neither a file nor a model of it.
    """
    path = named_file(given)
    if not os.path.lexists(path) and _NAME.fullmatch(path):
        # Refuses it.
        pretrained_model(path)
    return path
