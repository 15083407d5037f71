"""A folder of models in place of the package's own."""

import runpy
from pathlib import Path

from int4_conformer.cli import app
from int4_conformer.pretrained import registry
from tests.support import commands

ROOT = Path(__file__).parents[2]
# A small recogniser of two passes that streams.
MODEL = ROOT / "tests" / "compatibility" / "v0_1" / "cascade.tflite"
CARD = "# commands\n\nHears four commands.\n"

_PROGRAM = ROOT / "export" / "add_pretrained.py"


def put(folder, monkeypatch, model=MODEL, name="commands"):
    """Makes a folder that of the models, and puts a file into it; returns how that ended."""
    monkeypatch.setattr(registry, "FOLDER", folder / "box")
    card = folder / "card.md"
    card.write_text(CARD)
    return add(model, f"--name={name}", "--hears=four commands", f"--card={card}")


def add(*arguments):
    """Runs export/add_pretrained.py."""
    command = runpy.run_path(str(_PROGRAM))["COMMAND"]
    return commands.ended(lambda: app.run(command, ["add_pretrained.py", *map(str, arguments)]))
