"""How every command starts, reads its flags and reports the user's mistakes.

A command is a module that ends with

    def _define_flags(values: flags.FlagValues) -> None:
        with flag_groups.group(values, flag_groups.GIVEN):
            flags.DEFINE_string("manifest", None, "JSON-lines manifest.", flag_values=values)

    def _train(values: flags.FlagValues, arguments: list[str]) -> Result:
        ...values.manifest...

    COMMAND = app.Command(name="train", usage="--manifest=FILE", description=__doc__,
                          examples=("--manifest=corpus", ...), define_flags=_define_flags,
                          main=_train, required=("manifest",), has_result=True)

    if __name__ == "__main__":
        app.run(COMMAND)

It runs as `int4-conformer train` and as `python -m int4_conformer.cli.train`. Its flags live in
`FlagValues` made afresh for each run, not in absl's global ones, so that commands may share names
and run one after another in a process. Flags may precede or follow arguments, "--" ends them, and
`--flagfile` works as in any absl program. Flags that are fields of a config have their names,
defaults and help from there (`define_fields`).

All commands have --quiet, which leaves results and errors, and those that return a `Result` --json.
What a command prints before is on stderr then, or nowhere, without its doing.
"""

import contextlib
import dataclasses
import errno
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from int4_conformer import __version__
from int4_conformer.cli import flag_texts
from int4_conformer.cli.flag_groups import COMMON, GIVEN, group
from int4_conformer.cli.results import JsonPlace, Result, define_json
from int4_conformer.errors import UserError
from int4_conformer.fields import help_of
from int4_conformer.progress import say, silent

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
    # What follows the command's name, as a user may type it; "# why" may stand behind it.
    examples: tuple[str, ...] = ()
    # Defines the command's flags in the values it is given.
    define_flags: Callable[[flags.FlagValues], None]
    # Gets the parsed flags and the remaining arguments.
    main: Callable[[flags.FlagValues, list[str]], Result | None]
    # Whether that returns a result; others print theirs while they come.
    has_result: bool = False
    # Flags that must be given.
    required: tuple[str, ...] = ()
    # Where `--config=FILE` and `--config.section.field=VALUE` are flags: gives what they set to
    # the flags that the user has not given.
    take_config: Callable[[flags.FlagValues], None] | None = None


def run(command: Command, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: with 0, or 2 after the user's mistake, told in one line.

    Args:
      command: what to run.
      argv: the program's name and its arguments, by default `sys.argv`.
    """

    def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
        values = defined_flags(command, argv)
        before_arguments = set(itertools.takewhile(lambda given: given != "--", argv[1:]))
        if {"--help", "-help", "-h"} & before_arguments:
            print(help_of_command(command, values))
            sys.exit(0)
        if "--version" in before_arguments:
            print(version())
            sys.exit(0)
        arguments = _parsed(command, values, argv)
        # An empty argument or value is what the shell makes of a variable that is not set.
        if "" in arguments:
            raise UserError(
                f"An argument of {command.name} is empty; is a variable of the shell not set?"
            )
        if missing := [
            f"--{name}" for name in command.required if values[name].value in (None, "")
        ]:
            raise UserError(
                f"{command.name} needs {' and '.join(missing)}; "
                f"`{PROGRAM} {command.name} --help` says what to give."
            )
        flags.FLAGS.mark_as_parsed()
        # What the libraries below tell of their inner workings is not for the user.
        logging.set_verbosity(logging.ERROR)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        return values, arguments

    with exits():
        app.run(lambda parsed: _run_main(command, *parsed), argv, flags_parser=parse)


def defined_flags(command: Command, argv: Sequence[str] = (PROGRAM,)) -> flags.FlagValues:
    """The flags of a command, those of all commands among them.

    Args:
      command: whose they are.
      argv: the program's name and its arguments, of which `--config` takes its own.
    """
    values = flags.FlagValues()
    command.define_flags(values)
    if command.take_config is not None:
        with group(values, GIVEN):
            _define_config(values, argv)
    with group(values, COMMON):
        if command.has_result:
            define_json(values)
        flags.DEFINE_boolean(
            "quiet", False, "Print results and errors, nothing else.", flag_values=values
        )
        # absl parses it.
        flags.DEFINE_string("flagfile", "", "File of more flags, one a line.", flag_values=values)
    return values


def version() -> str:
    """The program and its version."""
    return f"{PROGRAM} {__version__}"


@contextlib.contextmanager
def exits() -> Iterator[None]:
    """Ends the program as a user expects where it cannot go on.

    With 2 and one line after a mistake, or where nothing more can be written; quietly with 130 at
    Ctrl-C, and with 1 when the reader of its output, such as `head`, has seen enough.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may hold bytes that are no text.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        except UserError as error:
            complain(str(error))
            sys.exit(2)
        finally:
            for stream in streams:
                stream.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        if error.errno == errno.ENOSPC:
            complain("There is no space left to write to; make room.")
        # Python must not try again at exit.
        for stream in streams:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(1 if error.errno == errno.EPIPE else 2)
    except KeyboardInterrupt:
        sys.exit(130)


def _run_main(command: Command, values: flags.FlagValues, arguments: list[str]) -> int:
    """Has a command do its work, and returns the exit status."""
    with silent() if values.quiet else contextlib.nullcontext():
        if not command.has_result:
            command.main(values, arguments)
            return 0
        place = JsonPlace(values)
        with _stdout_kept(place.is_stdout, values.quiet):
            result = command.main(values, arguments)
        place.show(result)
        return result.status


@contextlib.contextmanager
def _stdout_kept(for_json: bool, quiet: bool) -> Iterator[None]:
    """Keeps stdout for the result: what is printed before goes to stderr, or nowhere."""
    if quiet:
        with (
            open(os.devnull, "w", encoding="utf-8", errors="backslashreplace") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            yield
    else:
        with contextlib.redirect_stdout(sys.stderr if for_json else sys.stdout):
            yield


def _parsed(command: Command, values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses the flags, a config file among them, and returns the arguments that remain."""
    try:
        arguments = values(argv)[1:]
    # Besides those of its own, absl raises a ValueError for --noflag=value and odd flagfiles.
    except (flags.Error, ValueError) as error:
        raise UserError(flag_texts.complaint(error, values, command.name)) from error
    except Exception as error:
        if command.take_config is None:
            raise
        # A config file is a program, with any error that a program may have.
        raise UserError(
            f"--config cannot be taken: {type(error).__name__}: {error}; look at the file, and at "
            "the names of the fields that are given."
        ) from error
    if command.take_config is not None:
        command.take_config(values)
    return arguments


def _define_config(values: flags.FlagValues, argv: Sequence[str]) -> None:
    from ml_collections import config_flags

    config_flags.DEFINE_config_file(
        "config",
        None,
        "Python file whose get_config() gives settings; flags have precedence.",
        flag_values=values,
        sys_argv=list(argv),
    )


def define_fields(
    config: type, values: flags.FlagValues, names: Sequence[str] | None = None
) -> None:
    """Defines a flag for each field of a config class, or for those that are named.

    Those that have a flag already keep it.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    for name in fields if names is None else names:
        if name not in values:
            field = fields[name]
            # Of a text, and of one of several, the config says itself which it takes.
            define = _DEFINE.get(field.type, flags.DEFINE_string)
            help_text = help_of(config, name)
            define(name, field.default, help_text, flag_values=values)


def given_fields(
    config: type, values: flags.FlagValues, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """What the flags of `define_fields` were given, as arguments of the config class."""
    return {
        field.name: values[field.name].value
        for field in dataclasses.fields(config)
        if names is None or field.name in names
    }


def tell(note: str) -> None:
    """Tells the user on stderr, in one line, what is neither a result nor an error."""
    say(_line(note), file=sys.stderr)


def complain(error: str) -> None:
    """Tells the user on stderr, in one line, what went wrong."""
    print(_line(error), file=sys.stderr)


def _line(message: str) -> str:
    """Spaces in names stay."""
    return f"{PROGRAM}: {' '.join(map(str.strip, message.splitlines()))}"


def help_of_command(command: Command, values: flags.FlagValues) -> str:
    """What `--help` prints.

    Args:
      command: which is explained.
      values: its flags, as `defined_flags` has them.
    """
    name = f"{PROGRAM} {command.name}"
    parts = [f"usage: {name} {command.usage}".rstrip(), command.description.strip()]
    if command.examples:
        lines = (f"  {name} {example}".rstrip() for example in command.examples)
        parts.append("\n".join(["examples:", *lines]))
    return "\n\n".join([*parts, flag_texts.flag_help(values, command.required)])
