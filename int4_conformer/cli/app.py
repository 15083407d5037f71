"""How every command starts, reads its flags and reports the user's mistakes.

A command is a module that ends with

    def _define_flags(values: flags.FlagValues) -> None:
        flags.DEFINE_string("manifest", None, "JSON-lines manifest.", flag_values=values)

    def _train(values: flags.FlagValues, arguments: list[str]) -> None:
        ...values.manifest...

    COMMAND = app.Command(name="train", usage="--manifest=FILE", description=__doc__,
                          define_flags=_define_flags, main=_train)

    if __name__ == "__main__":
        app.run(COMMAND)

It runs as `int4-conformer train` and as `python -m int4_conformer.cli.train`. Its flags live in
`FlagValues` made afresh for each run, not in absl's global ones, so that commands may share names
and run one after another in a process. Flags may precede or follow arguments, "--" ends them, and
`--flagfile` works as in any absl program. Flags that are fields of a config have their names,
defaults and help from there (`define_fields`).
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from int4_conformer.errors import UserError
from int4_conformer.fields import help_of

PROGRAM = "int4-conformer"
_DEFINE = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_boolean}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the program."""

    # As typed by the user.
    name: str
    # The arguments and the flags that must be given, such as "MODEL FILE... [flags]".
    usage: str
    # The help's text; its first line is a sentence of its own.
    description: str
    # Defines the command's flags in the values it is given.
    define_flags: Callable[[flags.FlagValues], None]
    # Gets the parsed flags and the remaining arguments.
    main: Callable[[flags.FlagValues, list[str]], None]


def run(command: Command, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: with 0, or 2 after the user's mistake, told in one line.

    Args:
      command: what to run.
      argv: the program's name and its arguments, by default `sys.argv`.
    """

    def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
        values = flags.FlagValues()
        command.define_flags(values)
        if {"--help", "-h"} & set(argv[1:]):
            print(_help(command, values))
            sys.exit(0)
        arguments = values(argv)[1:]
        flags.FLAGS.mark_as_parsed()
        # What the libraries below tell of their inner workings is not for the user.
        logging.set_verbosity(logging.ERROR)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        return values, arguments

    try:
        app.run(lambda parsed: command.main(*parsed), argv, flags_parser=parse)
    except (UserError, flags.Error) as error:
        fail(str(error))
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def define_fields(
    config: type, values: flags.FlagValues, names: Sequence[str] | None = None
) -> None:
    """Defines a flag for each field of a config class, or for those that are named."""
    for field in dataclasses.fields(config):
        if names is None or field.name in names:
            # Of a text, and of one of several, the config says itself which it takes.
            define = _DEFINE.get(field.type, flags.DEFINE_string)
            help_text = help_of(config, field.name)
            define(field.name, field.default, help_text, flag_values=values)


def given_fields(
    config: type, values: flags.FlagValues, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """What the flags of `define_fields` were given, as arguments of the config class."""
    return {
        field.name: values[field.name].value
        for field in dataclasses.fields(config)
        if names is None or field.name in names
    }


def fail(message: str) -> NoReturn:
    """Tells the user's mistake in one line and exits with 2."""
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _help(command: Command, values: flags.FlagValues) -> str:
    # absl groups flags under unindented module names, which tell the user nothing.
    flag_lines = [line for line in values.get_help().splitlines() if line.startswith(" ")]
    return "\n".join(
        [
            f"usage: {PROGRAM} {command.name} {command.usage}",
            "",
            command.description.strip(),
            "",
            "flags:",
            *flag_lines,
        ]
    )
