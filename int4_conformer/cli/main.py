"""The program `int4-conformer`: chooses a command and loads that command's module alone."""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from int4_conformer import __version__
from int4_conformer.cli import app
from int4_conformer.errors import UserError, did_you_mean

COMMANDS = {
    "demo": ("int4_conformer.cli.demo", "trains, exports and tries a small recogniser"),
    "train": ("int4_conformer.cli.train", "trains a recogniser on a manifest of utterances"),
    "corpus": ("int4_conformer.cli.corpus", "tells what a corpus holds, and what is wrong with it"),
    "prepare": ("int4_conformer.cli.prepare", "makes a corpus a folder of shards for training"),
    "speak": ("int4_conformer.cli.speak", "makes a corpus of phrases, spoken by synthesisers"),
    "data_worker": ("int4_conformer.cli.data_worker", "makes batches for trainings elsewhere"),
    "report": ("int4_conformer.cli.report", "writes a page of curves and word errors of a run"),
    "evaluate": ("int4_conformer.cli.evaluate", "measures the word error rate of a recogniser"),
    "export": ("int4_conformer.cli.export", "writes a checkpoint as a .tflite file"),
    "verify": ("int4_conformer.cli.verify", "compares a .tflite file with its training folder"),
    "transcribe": ("int4_conformer.cli.transcribe", "recognises audio files"),
    "models": ("int4_conformer.cli.models", "lists the recognisers that come with the package"),
    "serve": ("int4_conformer.cli.serve", "serves a recogniser over HTTP and WebSockets"),
    "transcribe_many": (
        "int4_conformer.cli.transcribe_many",
        "recognises thousands of audio files on all cores",
    ),
    "inspect": ("int4_conformer.cli.inspect", "lists what a .tflite file or a preset holds"),
    "suggest": ("int4_conformer.cli.suggest", "finds which layers to quantize to how many bits"),
    "wordpieces": ("int4_conformer.cli.wordpieces", "trains a vocabulary of word pieces"),
    "tokens": ("int4_conformer.cli.tokens", "parts texts into tokens, for a language model"),
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command named by the first argument and exits.

    Args:
      argv: the arguments without the program's name, by default those of `sys.argv`.
    """
    with app.exits():
        _run(sys.argv[1:] if argv is None else list(argv))
        sys.exit(0)


def _run(arguments: list[str]) -> None:
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        if not rest:
            print(_help())
            return
        # "help train" asks for what "train --help" prints.
        name, rest = rest[0], ["--help"]
    if name == "--version":
        print(f"{app.PROGRAM} {__version__}")
        return
    if name not in COMMANDS:
        raise UserError(
            f"There is no command {name!r}{did_you_mean(name, COMMANDS)}; the commands are "
            f"{', '.join(COMMANDS)}."
        )
    module_name, _ = COMMANDS[name]
    try:
        command = importlib.import_module(module_name).COMMAND
        app.run(command, [app.PROGRAM, *rest])
    except ModuleNotFoundError as error:
        # A name with a dot is a part of an installed package: not missing, but a defect.
        if "." in error.name:
            raise
        extra = "serve" if name == "serve" else "train"
        raise UserError(
            f"{name} needs the package {error.name}; pip install 'int4-conformer[{extra}]' "
            "brings it."
        ) from error


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            f"usage: {app.PROGRAM} COMMAND [flags]",
            "",
            "Trains, exports and runs 4-bit Conformer speech recognisers.",
            "",
            "commands:",
            *(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items()),
            "",
            f"`{app.PROGRAM} COMMAND --help` lists the flags of a command.",
        ]
    )


if __name__ == "__main__":
    main()
