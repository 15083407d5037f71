"""Where an expression of a grammar fits a text, and what its slots hold."""

from collections.abc import Iterator
from typing import Any

from int4_conformer.search.expressions import (
    Choice,
    Node,
    Number,
    Range,
    Repeat,
    Series,
    Slot,
    Word,
)
from int4_conformer.text.spoken_numbers import MOST_WORDS, number_of

# Places of nodes that are tried. No text that is said comes near it; one that was made to take long
# fits nowhere.
_MOST_TRIED = 1_000_000

# Names and values of slots.
_Slots = tuple[tuple[str, Any], ...]


class Matcher:
    """Where nodes may end in a text.

    Each is looked for once at a word, however many ways lead there.

    Args:
        words: of the text.
    """

    def __init__(self, words: list[str]):
        self._words = words
        self._known: dict[tuple[int, int], dict[int, _Slots]] = {}
        self._tried = 0

    def ends(self, node: Node, start: int) -> dict[int, _Slots]:
        """Where a node may end that begins at a word, the likeliest first, and the slots within."""
        self._tried += 1
        if self._tried > _MOST_TRIED:
            return {}
        place = id(node), start
        if place not in self._known:
            found: dict[int, _Slots] = {}
            for end, slots in self._found(node, start):
                found.setdefault(end, slots)
            self._known[place] = found
        return self._known[place]

    def _found(self, node: Node, start: int) -> Iterator[tuple[int, _Slots]]:
        match node:
            case Word(text):
                if self._words[start : start + 1] == [text]:
                    yield start + 1, ()
            case Number():
                said = node.words
                if self._words[start : start + len(said)] == said:
                    yield start + len(said), ()
            case Range():
                for end, _ in self._numbers(node, start):
                    yield end, ()
            case Series(parts):
                ways: dict[int, _Slots] = {start: ()}
                for part in parts:
                    longer: dict[int, _Slots] = {}
                    for middle, first in ways.items():
                        for end, rest in self.ends(part, middle).items():
                            longer.setdefault(end, first + rest)
                    ways = longer
                yield from ways.items()
            case Choice(options):
                for option in options:
                    yield from self.ends(option, start).items()
            case Repeat(part):
                yield from self._repeated(part, start)
            case Slot(name, part):
                yield from self._slot(name, part, start)

    def _numbers(self, node: Range, start: int) -> Iterator[tuple[int, int]]:
        """Where a number of a range may end, the shortest first, and the number."""
        for end in range(start + 1, min(start + MOST_WORDS, len(self._words)) + 1):
            number = number_of(self._words[start:end])
            if number is not None and node.first <= number <= node.last:
                yield end, number

    def _repeated(self, part: Node, start: int) -> Iterator[tuple[int, _Slots]]:
        """As often as possible first. Without recursion, which ends after some hundred words."""
        seen = {start}
        ways = [(start, (), iter(self.ends(part, start).items()))]
        while ways:
            place, before, following = ways[-1]
            step = next(following, None)
            if step is None:
                ways.pop()
                if ways:
                    yield place, before
                continue
            end, slots = step
            if end == place:
                yield end, before + slots
            elif end not in seen:
                seen.add(end)
                ways.append((end, before + slots, iter(self.ends(part, end).items())))

    def _slot(self, name: str, part: Node, start: int) -> Iterator[tuple[int, _Slots]]:
        # The longest number: "twenty five" is not "twenty".
        if isinstance(part, Range):
            for end, number in reversed(list(self._numbers(part, start))):
                yield end, ((name, number),)
        elif isinstance(part, Choice) and all(isinstance(o, Number) for o in part.options):
            for number in sorted(part.options, key=lambda option: -len(option.words)):
                for end in self.ends(number, start):
                    yield end, ((name, number.value),)
        else:
            for end, slots in self.ends(part, start).items():
                yield end, ((name, " ".join(self._words[start:end])), *slots)
