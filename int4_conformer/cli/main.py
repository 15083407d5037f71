"""The program `int4-conformer`: chooses a command and loads that command's module alone."""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from int4_conformer.cli import app
from int4_conformer.cli.extras import extra_of
from int4_conformer.errors import UserError, did_you_mean

# By what people want, in the order of use: each with its module and what it does.
GROUPS = {
    "to hear speech": {
        "transcribe": ("int4_conformer.cli.transcribe", "recognises audio files or a microphone"),
        "transcribe_many": (
            "int4_conformer.cli.transcribe_many",
            "recognises thousands of audio files on all cores",
        ),
        "serve": ("int4_conformer.cli.serve", "serves a recogniser over HTTP and WebSockets"),
        "models": ("int4_conformer.cli.models", "lists the recognisers that come with the package"),
    },
    "to train a recogniser": {
        "demo": ("int4_conformer.cli.demo", "trains, exports and tries a small recogniser"),
        "corpus": (
            "int4_conformer.cli.corpus",
            "shows what a corpus holds, and what is wrong with it",
        ),
        "speak": ("int4_conformer.cli.speak", "makes a corpus of phrases, spoken by synthesisers"),
        "prepare": (
            "int4_conformer.cli.prepare",
            "makes shards of a large corpus, for training",
        ),
        "wordpieces": ("int4_conformer.cli.wordpieces", "trains a vocabulary of word pieces"),
        "train": (
            "int4_conformer.cli.train",
            "trains a recogniser on a corpus or a list of phrases",
        ),
        "data_worker": (
            "int4_conformer.cli.data_worker",
            "makes batches for a training on another machine",
        ),
        "report": (
            "int4_conformer.cli.report",
            "writes a page of a run's curves and word errors",
        ),
    },
    "to measure one": {
        "evaluate": (
            "int4_conformer.cli.evaluate",
            "measures the word error rate of a recogniser",
        ),
        "tokens": (
            "int4_conformer.cli.tokens",
            "splits texts into tokens, for a language model",
        ),
        "suggest": (
            "int4_conformer.cli.suggest",
            "finds which layers to quantize to how many bits",
        ),
    },
    "to bring one to a device": {
        "export": (
            "int4_conformer.cli.export",
            "writes a checkpoint as a .tflite file or a SavedModel",
        ),
        "verify": (
            "int4_conformer.cli.verify",
            "compares a .tflite file with its training folder",
        ),
        "inspect": (
            "int4_conformer.cli.inspect",
            "lists what a .tflite file, a run or a preset holds",
        ),
    },
    "about this program": {
        "doctor": (
            "int4_conformer.cli.doctor",
            "shows what this machine has, and what is missing",
        ),
        "completion": (
            "int4_conformer.cli.completion",
            "prints a script with which a shell completes commands",
        ),
    },
}
COMMANDS = {name: place for group in GROUPS.values() for name, place in group.items()}


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
            print(program_help())
            return
        # "help train" asks for what "train --help" prints.
        name, rest = rest[0], ["--help"]
    if name == "--version":
        print(app.version())
        return
    if name not in COMMANDS:
        meant = did_you_mean(name, [*COMMANDS, "help", "--version"])
        raise UserError(
            f"There is no command {name!r}{meant}; the commands are {', '.join(COMMANDS)}."
        )
    module_name, _ = COMMANDS[name]
    try:
        command = importlib.import_module(module_name).COMMAND
        app.run(command, [app.PROGRAM, *rest])
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            # A part of a package that is installed, or none of ours: not missing, but a defect.
            raise
        raise UserError(
            f"{name} needs the package {error.name}; {extra.command} brings it."
        ) from error


def program_help() -> str:
    """What `--help` prints: the commands, by what they are for."""
    width = max(map(len, COMMANDS))
    parts = [
        f"usage: {app.PROGRAM} COMMAND [flags]",
        "Trains, exports and runs 4-bit Conformer speech recognisers.",
    ]
    for title, group in GROUPS.items():
        lines = [f"  {name:{width}}  {summary}" for name, (_, summary) in group.items()]
        parts.append("\n".join([f"{title}:", *lines]))
    parts.append(
        f"`{app.PROGRAM} help COMMAND` has the flags of a command and examples, and\n"
        f"`{app.PROGRAM} --version` the version."
    )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
