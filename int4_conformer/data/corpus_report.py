"""What was left out of a corpus, and why."""

import dataclasses
from collections.abc import Iterable
from typing import Literal, NamedTuple

from int4_conformer.errors import UserError, require_one_of

OnError = Literal["skip", "stop"]

ON_ERROR: tuple[OnError, ...] = ("skip", "stop")

# A screen in lines, and how long a line may be, in which two paths should have room.
_SCREEN = 22
_WIDTH = 200
_MOST_EXAMPLES = 3


class Finding(NamedTuple):
    """Something that was found in a corpus."""

    # What they are called that are so.
    kind: str
    # Which it is.
    example: str
    # Or it is used, and odd.
    left_out: bool


@dataclasses.dataclass
class _Kind:
    """Things of one kind that were found."""

    left_out: bool
    count: int = 0
    # The first few.
    examples: list[str] = dataclasses.field(default_factory=list)


class CorpusReport:
    """Counts what is left out of a corpus, and what is odd about the rest, with the first few of
    each kind.

    One is handed through all that happens to a corpus, from its reading to its batches. What is
    said twice, as of a line that was read once for each of two splits, counts once.

    Args:
        on_error: what to do about a fault: "stop" raises it, "skip" leaves out what has it.
        advice: a sentence that follows a fault that is raised.

    Example:

        >>> report = CorpusReport("skip")
        >>> report.fault("lines that are not JSON", "Line 7 of a.jsonl is not JSON; mend it.")
        >>> print(*report.lines(), sep="\\n")
        left out 1:
               1 lines that are not JSON
                 Line 7 of a.jsonl is not JSON; mend it.
    """

    def __init__(self, on_error: OnError = "stop", advice: str = ""):
        require_one_of(ON_ERROR, on_error=on_error)
        self._stops = on_error == "stop"
        self._advice = advice
        self._kinds: dict[str, _Kind] = {}
        self._findings: dict[Finding, None] = {}

    def fault(self, kind: str, sentence: str) -> None:
        """Something is broken and cannot be used.

        Args:
            kind: what they are called that are broken in this way, such as "missing files".
            sentence: which it is and what to do, for the user.

        Raises:
            UserError: `on_error` is "stop".
        """
        if self._stops:
            raise UserError(f"{sentence} {self._advice}".rstrip())
        self._add(kind, sentence, left_out=True)

    def leave_out(self, kind: str, example: str) -> None:
        """Something is in order but not for this use."""
        self._add(kind, example, left_out=True)

    def notice(self, kind: str, example: str) -> None:
        """Something is odd and is used all the same."""
        self._add(kind, example, left_out=False)

    def include(self, findings: Iterable["Finding"]) -> None:
        """Takes over what another report was told, and never stops."""
        for finding in findings:
            self._add(finding.kind, finding.example, finding.left_out)

    @property
    def findings(self) -> list["Finding"]:
        """All that was told, in that order."""
        return list(self._findings)

    @property
    def left_out(self) -> int:
        """How many lines and utterances are."""
        return sum(kind.count for kind in self._kinds.values() if kind.left_out)

    def lines(self) -> list[str]:
        """What to show the user: nothing, or at most a screen."""
        lines = []
        # Two titles and the kinds; then as many examples as there is room for.
        room = _SCREEN - 2 - len(self._kinds)
        shown = max(1, min(_MOST_EXAMPLES, room // max(1, len(self._kinds))))
        for left_out, title in ((True, f"left out {self.left_out:,}:"), (False, "used, but odd:")):
            kinds = {name: kind for name, kind in self._kinds.items() if kind.left_out == left_out}
            lines += [title] * bool(kinds)
            for name, kind in kinds.items():
                lines.append(f"{kind.count:8,} {name}")
                lines += [f"{'':9}{_short(example)}" for example in kind.examples[:shown]]
        return lines

    def first(self) -> str:
        """The kind of which most was left out, with its first example, or nothing."""
        kinds = [(kind.count, name) for name, kind in self._kinds.items() if kind.left_out]
        if not kinds:
            return ""
        count, name = max(kinds)
        return f"{count:,} {name}: {self._kinds[name].examples[0]}"

    def _add(self, kind: str, example: str, left_out: bool) -> None:
        finding = Finding(kind=kind, example=example, left_out=left_out)
        if finding in self._findings:
            return
        self._findings[finding] = None
        found = self._kinds.setdefault(kind, _Kind(left_out=left_out))
        found.count += 1
        if len(found.examples) < _MOST_EXAMPLES:
            found.examples.append(example)


def _short(text: str) -> str:
    """A line of the screen; of a long one, its ends."""
    if len(text) <= _WIDTH:
        return text
    half = (_WIDTH - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
