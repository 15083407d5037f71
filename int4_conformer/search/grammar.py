"""Small grammars of what may be said, one expression a line.

    turn (on | off) the [kitchen] light      a choice, and words that may be left out
    set a timer for {minutes:1..60} minutes  a slot that holds a number
    call {name: anna | (bob | robert) lee}   a slot that holds words
    (zero | one | two)+                      once or several times
    timer = set a timer                      what the phrase is called

Case and punctuation do not matter. Numbers are spelled as `text.spoken_numbers` has them.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.search.expressions import (
    Choice,
    Node,
    Number,
    Range,
    Repeat,
    Series,
    Slot,
    Word,
    parsed,
)
from int4_conformer.search.matcher import Matcher
from int4_conformer.text.normalize import normalize

_NAMED = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
# How often `draw` repeats what may be said any number of times.
_MOST_REPEATS = 8
# And how often it tries to draw more than nothing.
_MOST_DRAWS = 1000
# States of an automaton, and words of a text that is matched: both take memory and time, and who
# writes a grammar may be a stranger.
_MOST_STATES = 200_000
_MOST_MATCHED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """What an utterance said in a grammar's terms."""

    # Name of the phrase, or its expression if it has none.
    phrase: str
    # What its slots hold: words, or a number.
    slots: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grammar:
    """Phrases that may be said.

    Example:

        >>> grammar = Grammar.of(["timer = set a timer for {minutes:1..60} minutes", "stop"])
        >>> grammar.match("set a timer for twenty five minutes")
        Match(phrase='timer', slots={'minutes': 25})
    """

    names: tuple[str, ...]
    phrases: tuple[Node, ...]

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Grammar":
        """The grammar of expressions.

        Raises:
            UserError: `lines` is a string, an expression is not closed, a range is empty, or
                nothing may be said.
        """
        if isinstance(lines, str):
            raise UserError(
                f"`lines` must be a list of expressions. Received the string {lines!r}."
            )
        names, phrases = [], []
        # As a file has them, they end in "\n".
        for line in filter(None, map(str.strip, lines)):
            named = _NAMED.fullmatch(line)
            names.append(named[1] if named else line)
            phrases.append(parsed(named[2] if named else line))
        if not phrases:
            raise UserError(f"The grammar has no phrase. Received: {len(lines)} lines")
        return cls(names=tuple(names), phrases=tuple(phrases))

    def arcs(self) -> tuple[list[dict[str, set[int]]], list[set[int]], int]:
        """The grammar as an automaton over words that may be in several states at once.

        Returns:
            of each state, the states after each word; of each state, those that it is as well; and
            the state at the end. The start is state 0.
        """
        automaton = _Automaton()
        end = automaton.state()
        for phrase in self.phrases:
            automaton.join(automaton.add(phrase, 0), end)
        return automaton.words, automaton.free, end

    def match(self, text: str) -> Match | None:
        """What a text says in the grammar's terms; None if it is not of the grammar.

        Args:
            text: in any spelling that `normalize` reads, of up to 1000 words.
        """
        words = normalize(text).split()
        if len(words) > _MOST_MATCHED:
            return None
        matcher = Matcher(words)
        for name, phrase in zip(self.names, self.phrases, strict=True):
            slots = matcher.ends(phrase, 0).get(len(words))
            if slots is not None:
                return Match(phrase=name, slots=dict(slots))
        return None

    def draw(self, rng: np.random.Generator) -> str:
        """Something that may be said, in words as `normalize` has them.

        A phrase that may be said in many ways is drawn more often than one with few, by the
        logarithm of their number.

        Raises:
            UserError: so much of a phrase may be left out that it says nothing in 1000 draws.

        Example:

            >>> Grammar.of(["room {1..3}"]).draw(np.random.default_rng(0))
            'room two'
        """
        place = np.searchsorted(self._shares, rng.random(), side="right")
        for _ in range(_MOST_DRAWS):
            if words := list(_drawn(self.phrases[place], rng)):
                return " ".join(words)
        raise UserError(
            f"The phrase {self.names[place]!r} mostly says nothing; take some of its [ ] away."
        )

    @functools.cached_property
    def _shares(self) -> np.ndarray:
        """float64 [phrases], by which part of all draws each phrase or one before it is drawn."""
        shares = np.cumsum([1 + _bits(phrase) for phrase in self.phrases])
        return shares / shares[-1]


def _bits(node: Node) -> float:
    """The logarithm to base 2 of the number of ways in which something may be said."""
    match node:
        case Series(parts):
            return sum(map(_bits, parts))
        case Choice(options):
            return float(np.logaddexp2.reduce([_bits(option) for option in options]))
        case Range(first, last):
            return float(np.logaddexp2.reduce(np.zeros(last - first + 1)))
        case Repeat(part):
            return _bits(part) * _MOST_REPEATS / 2
        case Slot(_, part):
            return _bits(part)
    return 0.0


def _drawn(node: Node, rng: np.random.Generator) -> Iterator[str]:
    """Words of one way to say a node."""
    match node:
        case Word(text):
            yield text
        case Number():
            yield from node.words
        case Series(parts):
            for part in parts:
                yield from _drawn(part, rng)
        case Choice(options):
            yield from _drawn(options[rng.integers(len(options))], rng)
        case Range(first, last):
            yield from Number(first + int(rng.integers(last - first + 1))).words
        case Repeat(part):
            for _ in range(rng.integers(1, _MOST_REPEATS + 1)):
                yield from _drawn(part, rng)
        case Slot(_, part):
            yield from _drawn(part, rng)


class _Automaton:
    """States, and what leads from one to another."""

    def __init__(self) -> None:
        self.words: list[dict[str, set[int]]] = [{}]
        self.free: list[set[int]] = [set()]

    def state(self) -> int:
        if len(self.words) >= _MOST_STATES:
            raise UserError(
                f"The list of phrases is too large; it comes to more than {_MOST_STATES:,} words. "
                "Give fewer phrases, or smaller ranges of numbers."
            )
        self.words.append({})
        self.free.append(set())
        return len(self.words) - 1

    def join(self, one: int, other: int) -> None:
        self.free[one].add(other)

    def add(self, node: Node, start: int) -> int:
        """Adds a node behind a state; returns the state behind it."""
        match node:
            case Word(text):
                return self._word(start, text)
            case Number():
                for word in node.words:
                    start = self._word(start, word)
                return start
            case Series(parts):
                for part in parts:
                    start = self.add(part, start)
                return start
            case Choice(options):
                return self._choice(options, start)
            case Range():
                return self._choice(node.numbers, start)
            case Repeat(part):
                # A state of its own, so that what comes before is not repeated.
                first = self.state()
                self.join(start, first)
                end = self.add(part, first)
                last = self.state()
                self.join(end, last)
                self.join(last, first)
                return last
            case Slot(_, part):
                return self.add(part, start)

    def _choice(self, options: Iterable[Node], start: int) -> int:
        end = self.state()
        for option in options:
            self.join(self.add(option, start), end)
        return end

    def _word(self, start: int, word: str) -> int:
        end = self.state()
        self.words[start].setdefault(word, set()).add(end)
        return end
