"""What commands have found or written: told to people, or as JSON to programs."""

import dataclasses
import json
import sys
from typing import Any

from absl import flags

from int4_conformer.files import require_place, write_beside
from int4_conformer.progress import say

_STDOUT = "-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a command has found or written."""

    # For people; what was written, too.
    text: str
    # The same for programs, as JSON has it.
    facts: dict[str, Any]
    # Command lines that may come next.
    next: tuple[str, ...] = ()
    # The program's exit status.
    status: int = 0


class JsonPlace:
    """Where --json has a command's facts go, if anywhere.

    Args:
        values: with the flag `define_json`, parsed.

    Raises:
        UserError: the file that it names cannot be written.
    """

    def __init__(self, values: flags.FlagValues) -> None:
        self._target: str | None = values.json
        if self._target not in (None, _STDOUT):
            require_place(self._target)

    @property
    def is_stdout(self) -> bool:
        """Whether they are all that is printed on stdout."""
        return self._target == _STDOUT

    def show(self, result: Result) -> None:
        """Prints a result, and writes its facts where they go."""
        facts = json.dumps(result.facts, indent=2) + "\n"
        if self.is_stdout:
            print(facts, end="", flush=True)
        else:
            if self._target is not None:
                write_beside(self._target, facts.encode())
            print(result.text, flush=True)
            if self._target is not None:
                say(f"JSON: {self._target}", file=sys.stderr)
        if result.next:
            # On stderr, since it is no result.
            say("\n  ".join(["next:", *result.next]), file=sys.stderr)


def define_json(values: flags.FlagValues) -> None:
    """Defines --json."""
    flags.DEFINE_flag(
        flags.Flag(
            _PlaceParser(),
            flags.ArgumentSerializer(),
            "json",
            None,
            "Print the result as JSON and nothing else on stdout, or write it to a file as well.",
            boolean=True,
        ),
        values,
    )


class _PlaceParser(flags.ArgumentParser):
    """A file; or, of the flag alone, which absl takes for true, stdout."""

    def parse(self, argument: str) -> str | None:
        return {"true": _STDOUT, "false": None}.get(argument, argument)
