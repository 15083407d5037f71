"""Prints a script with which a shell completes commands, flags, their values and files.

SHELL is bash, zsh or fish. The script holds all names, so that completing starts no Python; write
it anew after an update. Its place is

    bash   ~/.local/share/bash-completion/completions/int4-conformer
    zsh    _int4-conformer, in a folder of your $fpath
    fish   ~/.config/fish/completions/int4-conformer.fish
"""

import dataclasses
import importlib
import shlex

from absl import flags

from int4_conformer.cli import app, flag_texts
from int4_conformer.cli.extras import extra_of
from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.pretrained.registry import pretrained_models


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flag:
    """A flag as it is completed."""

    # Without dashes.
    name: str
    # What it is for.
    help: str
    # Whether "--name=" may follow, and whether it has to.
    takes_value: bool
    needs_value: bool
    # Of an enumeration; others are files, or what nobody can guess.
    values: tuple[str, ...]
    is_file: bool
    # Whether there is --noNAME, too.
    has_negation: bool

    @classmethod
    def of(cls, flag: flags.Flag) -> "_Flag":
        is_boolean = isinstance(flag.parser, flags.BooleanParser)
        return cls(
            name=flag.name,
            help=flag_texts.summary(flag),
            takes_value=not is_boolean,
            needs_value=not flag.boolean,
            values=tuple(getattr(flag.parser, "enum_values", ())),
            # Of numbers absl says what they are.
            is_file=not is_boolean and not flag.parser.syntactic_help,
            has_negation=is_boolean,
        )

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that may be typed for it, "--name=" where a value has to follow."""
        yes = f"--{self.name}=" if self.needs_value else f"--{self.name}"
        return (yes, f"--no{self.name}") if self.has_negation else (yes,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Completed:
    """A command as it is completed."""

    name: str
    summary: str
    flags: tuple[_Flag, ...]
    # Words that may follow it; others are files.
    words: tuple[str, ...] = ()


def _define_flags(values: flags.FlagValues) -> None:
    """It has none of its own."""


def _completion(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(
            f"completion takes one SHELL: {', '.join(_SCRIPTS)}. Received: {len(arguments)} "
            "arguments"
        )
    (shell,) = arguments
    if shell not in _SCRIPTS:
        raise UserError(
            f"There is no completion for {shell!r}{did_you_mean(shell, _SCRIPTS)}; name one of "
            f"{', '.join(_SCRIPTS)}."
        )
    print(_SCRIPTS[shell](_commands()), end="")


def _commands() -> list[_Completed]:
    # Only here: the program's list has this command, too.
    from int4_conformer.cli.main import COMMANDS

    words = {"completion": tuple(_SCRIPTS), "models": tuple(pretrained_models())}
    found = [
        _Completed(
            name=name,
            summary=summary,
            flags=_flags_of(module),
            words=words.get(name, ()),
        )
        for name, (module, summary) in COMMANDS.items()
    ]
    names = tuple(COMMANDS)
    return [*found, _Completed(name="help", summary="explains a command", flags=(), words=names)]


def _flags_of(module: str) -> tuple[_Flag, ...]:
    """Those of a command; none where a package is missing that it needs."""
    try:
        values = app.defined_flags(importlib.import_module(module).COMMAND)
    except ModuleNotFoundError as error:
        if extra_of(error.name or "") is None:
            raise
        return ()
    return tuple(_Flag.of(values[name]) for name in values)


def _bash(commands: list[_Completed]) -> str:
    cases, valued = [], []
    for command in commands:
        spellings = [word for flag in command.flags for word in flag.spellings]
        words = " ".join([*spellings, "--help", "--version", *command.words])
        cases.append(f"    {command.name}) words={shlex.quote(words)} ;;")
        for flag in command.flags:
            if flag.values:
                values = shlex.quote(" ".join(flag.values))
                valued.append(f"    {command.name}:--{flag.name}) words={values} ;;")
            elif flag.takes_value and not flag.is_file:
                valued.append(f"    {command.name}:--{flag.name}) return ;;")
    names = " ".join(command.name for command in commands)
    worded = " ".join(command.name for command in commands if command.words)
    return _BASH.format(
        names=names, worded=worded, cases="\n".join(cases), valued="\n".join(valued)
    )


# What is typed is taken from the line, since bash parts words at "=" and zsh does not.
_BASH = """\
# Completion of int4-conformer for bash.
_int4_conformer() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" typed command words="" flag IFS=$' \t\n'
  typed="${{line##*[[:space:]]}}"
  read -r _ command _ <<< "$line"
  COMPREPLY=()
  if [[ "$line" != *[[:space:]]*[[:space:]]* ]]; then
    COMPREPLY=($(compgen -W "{names} --help --version" -- "$typed"))
    return
  fi
  if [[ "$typed" == --*=* ]]; then
    flag="${{typed%%=*}}"
    typed="${{typed#*=}}"
    case "$command:$flag" in
{valued}
    esac
    if [[ -n "$words" ]]; then
      COMPREPLY=($(compgen -W "$words" -- "$typed"))
    else
      compopt -o filenames 2> /dev/null
      IFS=$'\n'
      COMPREPLY=($(compgen -f -- "$typed"))
    fi
    [[ "$COMP_WORDBREAKS" == *=* ]] || COMPREPLY=("${{COMPREPLY[@]/#/$flag=}}")
    return
  fi
  case "$command" in
{cases}
  esac
  if [[ "$typed" == -* || " {worded} " == *" $command "* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$typed"))
    [[ "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace 2> /dev/null
  else
    compopt -o filenames 2> /dev/null
    IFS=$'\n'
    COMPREPLY=($(compgen -f -- "$typed"))
  fi
}}
complete -F _int4_conformer int4-conformer
"""


def _zsh(commands: list[_Completed]) -> str:
    cases = []
    for command in commands:
        specs = [spec for flag in command.flags for spec in _zsh_specs(flag)]
        rest = f"*:word:({' '.join(command.words)})" if command.words else "*:file:_files"
        lines = " \\\n        ".join(map(shlex.quote, [*specs, "--help[explain it]", rest]))
        cases.append(f"    {command.name})\n      _arguments \\\n        {lines} ;;")
    names = "\n".join(
        f"    {shlex.quote(f'{command.name}:{command.summary}')}" for command in commands
    )
    return _ZSH.format(names=names, cases="\n".join(cases))


def _zsh_specs(flag: _Flag) -> list[str]:
    text = flag.help.split("; ")[0].replace("[", "(").replace("]", ")").replace(":", ",")
    if not flag.takes_value:
        return [f"--{flag.name}[{text}]", f"--no{flag.name}[not so]"]
    action = f"({' '.join(flag.values)})" if flag.values else "_files" if flag.is_file else " "
    # Behind "=-" a value stands in the same word, behind "::" it may be missing.
    form, colons = ("=", ":") if flag.needs_value else ("=-", "::")
    return [f"--{flag.name}{form}[{text}]{colons}{flag.name}:{action}"]


_ZSH = """\
#compdef int4-conformer
# Completion of int4-conformer for zsh.
_int4_conformer() {{
  local -a names
  names=(
{names}
  )
  if (( CURRENT == 2 )); then
    _describe command names
    return
  fi
  shift words
  (( CURRENT-- ))
  case "$words[1]" in
{cases}
  esac
}}
if [ "$funcstack[1]" = "_int4_conformer" ]; then
  _int4_conformer "$@"
else
  compdef _int4_conformer int4-conformer
fi
"""


def _fish(commands: list[_Completed]) -> str:
    program = f"complete -c {app.PROGRAM}"
    lines = ["# Completion of int4-conformer for fish."]
    for command in commands:
        text = _fish_text(command.summary)
        lines.append(f"{program} -f -n __fish_use_subcommand -a {command.name} -d {text}")
    for command in commands:
        seen = shlex.quote(f"__fish_seen_subcommand_from {command.name}")
        if command.words:
            words = shlex.quote(" ".join(command.words))
            lines.append(f"{program} -f -n {seen} -a {words}")
        for flag in command.flags:
            kind = "-r" if flag.is_file and flag.needs_value else "-x" if flag.needs_value else ""
            values = f"-a {shlex.quote(' '.join(flag.values))}" if flag.values else ""
            parts = (f"-l {flag.name}", "-x" if flag.values else kind, values)
            text = _fish_text(flag.help)
            lines.append(" ".join([program, f"-n {seen}", *filter(None, parts), f"-d {text}"]))
            if flag.has_negation:
                lines.append(f"{program} -n {seen} -l no{flag.name}")
    return "\n".join(lines) + "\n"


def _fish_text(text: str) -> str:
    """In fish's single quotes a backslash escapes these two."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}

COMMAND = app.Command(
    name="completion",
    usage="SHELL",
    description=__doc__,
    examples=(
        "bash > ~/.local/share/bash-completion/completions/int4-conformer",
        "fish > ~/.config/fish/completions/int4-conformer.fish",
    ),
    define_flags=_define_flags,
    main=_completion,
)

if __name__ == "__main__":
    app.run(COMMAND)
