"""Puts a recogniser into the package, for `int4-conformer models` and by its name everywhere.

    python export/add_pretrained.py MODEL.tflite --name=NAME --hears="digits" --card=CARD.md

writes int4_conformer/pretrained/NAME.tflite, .json and .md, in place of an earlier model of that
name. The card says what the model was trained on, under which licences, how many words it gets
wrong on which corpora, beside other recognisers, and what it cannot do. `python docs/tables.py`
then lists the model in docs/pretrained.md.
"""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

from absl import flags

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.pretrained import registry
from int4_conformer.pretrained.registry import PretrainedModel, pretrained_models
from int4_conformer.tflite.flatbuffer import read_file
from int4_conformer.tflite.inspection import inspect_tflite


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("name", None, "Of the model.", flag_values=values)
    flags.DEFINE_string("hears", None, "What it hears, in a line.", flag_values=values)
    flags.DEFINE_string("card", None, "Markdown file of its card.", flag_values=values)


def _add(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(f"add_pretrained takes one MODEL. Received: {len(arguments)} arguments")
    (path,) = arguments
    content = read_file(path)
    model = PretrainedModel(
        name=values.name,
        hears=values.hears,
        # Opened, it is known to be whole and a recogniser.
        streams=Recognizer(path).hears_streams,
        bytes=len(content),
        parameters=inspect_tflite(path).parameters,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    others = [other.bytes for other in pretrained_models().values() if other.name != model.name]
    total = model.bytes + sum(others)
    if total > registry.MOST_BYTES:
        raise UserError(
            f"With {path} ({model.bytes:,} bytes) the models of the package would have {total:,} "
            f"bytes, and may have {registry.MOST_BYTES:,}; give a smaller one."
        )
    try:
        card = Path(values.card).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise UserError(f"The card {values.card} cannot be read; give a Markdown file.") from error
    facts = dataclasses.asdict(model)
    del facts["name"]
    parts = {
        ".tflite": content,
        ".md": card.encode(),
        ".json": json.dumps(facts, indent=2).encode() + b"\n",
    }
    for ending, part in parts.items():
        write_beside(registry.FOLDER / f"{model.name}{ending}", part)
    print(f"{model.name}: {model.bytes:,} bytes of {registry.MOST_BYTES:,}, {total:,} with others.")


COMMAND = app.Command(
    name="add_pretrained",
    usage="MODEL --name=NAME --hears=TEXT --card=FILE",
    description=__doc__,
    define_flags=_define_flags,
    main=_add,
    required=("name", "hears", "card"),
)

if __name__ == "__main__":
    app.run(COMMAND, sys.argv)
