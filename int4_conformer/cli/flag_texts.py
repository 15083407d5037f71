"""What flags say to people: their help, and what is wrong with those that were given."""

import re
import textwrap
from collections.abc import Collection, Iterator

from absl import flags

from int4_conformer.cli.flag_groups import grouped
from int4_conformer.errors import did_you_mean

_WIDTH = 100
_ARTICLES = {"integer": "an integer", "number": "a number"}


def flag_help(values: flags.FlagValues, required: Collection[str]) -> str:
    """A paragraph for each flag, below the name of its group."""
    return "\n\n".join(
        "\n".join([f"{group}:", *(_paragraph(values[name], name in required) for name in names)])
        for group, names in grouped(values).items()
    )


def spelled(flag: flags.Flag) -> str:
    """How a flag may be written, such as "--[no]words"."""
    if isinstance(flag.parser, flags.BooleanParser):
        return f"--[no]{flag.name}"
    # One that may have a value or none.
    return f"--{flag.name}[=FILE]" if flag.boolean else f"--{flag.name}"


def summary(flag: flags.Flag) -> str:
    """What a flag is for; absl puts the values of an enumeration before it."""
    return re.sub("^<.*?>: ", "", flag.help)


def _paragraph(flag: flags.Flag, required: bool) -> str:
    facts = "; ".join(_facts(flag, required))
    return textwrap.fill(
        f"{spelled(flag)}: {summary(flag)}" + (f" ({facts})" if facts else ""),
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def complaint(error: flags.Error | ValueError, values: flags.FlagValues, command: str) -> str:
    """The sentence for flags that absl has refused.

    Args:
        error: how it refused them.
        values: the flags that there are.
        command: as typed by the user.
    """
    cause, text = error.__context__, str(error)
    if isinstance(error, UnicodeDecodeError):
        return "The flagfile holds no text; write one flag a line."
    if isinstance(error, flags.UnrecognizedFlagError):
        meant = did_you_mean(error.flagname, values, "--")
        return (
            f"{command} has no flag --{error.flagname}{meant}; "
            f"`int4-conformer {command} --help` lists its flags."
        )
    if isinstance(error, flags.CantOpenFlagFileError) and isinstance(cause, OSError):
        return f"The flagfile {cause.filename} cannot be read ({cause.strerror}); check the path."
    if missing := re.fullmatch(r"Missing value for flag -+(\w+)", text):
        return f"The flag --{missing[1]} needs a value; write --{missing[1]}=VALUE."
    if given := re.match(r"flag --(\w+)=", text):
        received = text.removesuffix(f": {cause}")
        return f"The {received} must be {_kind(values[given[1]])}."
    return f"{text}; `int4-conformer {command} --help` lists its flags."


def _facts(flag: flags.Flag, required: bool) -> Iterator[str]:
    """What the help says of a flag in brackets."""
    if required:
        yield "must be given"
    if not flag.boolean and (kind := _kind(flag)):
        yield kind
    if flag.default not in (None, ""):
        yield f"default: {flag.default_as_str.strip(chr(39))}"


def _kind(flag: flags.Flag) -> str:
    """The values that a flag takes, "an integer"; nothing where it takes any."""
    if isinstance(flag.parser, flags.EnumParser):
        return " or ".join(flag.parser.enum_values)
    if flag.boolean:
        return "true or false"
    kind = flag.parser.syntactic_help
    # Of numbers with one bound absl says "integer >= 2".
    return re.sub("^(integer|number)", lambda word: _ARTICLES[word[0]], kind)
