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
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.text.normalize import normalize
from int4_conformer.text.spoken_numbers import spoken_number

_TOKEN = re.compile(r"\s*(\{\s*(?:[A-Za-z_]\w*\s*:)?|[()\[\]}|+]|[^\s()\[\]{}|+]+)")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*)")
_MOST_NUMBERS = 10_000
# How often `draw` repeats what may be said any number of times.
_MOST_REPEATS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """What an utterance said in a grammar's terms."""

    # Name of the phrase, or its expression if it has none.
    phrase: str
    # What its slots hold: words, or a number.
    slots: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Word:
    text: str


@dataclasses.dataclass(frozen=True)
class _Number:
    """A number, said in words."""

    value: int

    @property
    def words(self) -> list[str]:
        return spoken_number(self.value).split()


@dataclasses.dataclass(frozen=True)
class _Sequence:
    parts: tuple["_Node", ...]


@dataclasses.dataclass(frozen=True)
class _Choice:
    options: tuple["_Node", ...]


@dataclasses.dataclass(frozen=True)
class _Repeat:
    part: "_Node"


@dataclasses.dataclass(frozen=True)
class _Slot:
    name: str
    part: "_Node"


_Node = _Word | _Number | _Sequence | _Choice | _Repeat | _Slot
_NOTHING = _Sequence(())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grammar:
    """Phrases that may be said.

    Example:

        >>> grammar = Grammar.of(["timer = set a timer for {minutes:1..60} minutes", "stop"])
        >>> grammar.match("set a timer for twenty five minutes")
        Match(phrase='timer', slots={'minutes': 25})
    """

    names: tuple[str, ...]
    phrases: tuple[_Node, ...]

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Grammar":
        """The grammar of expressions.

        Raises:
            UserError: an expression is not closed, a range is empty, or nothing may be said.
        """
        names, phrases = [], []
        for line in lines:
            if not line.strip():
                continue
            named = _NAMED.fullmatch(line)
            expression = named[2] if named else line
            names.append(named[1] if named else line.strip())
            phrases.append(_Parser(expression).parsed())
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
            text: in any spelling that `normalize` reads.
        """
        words = normalize(text).split()
        for name, phrase in zip(self.names, self.phrases, strict=True):
            for end, slots in _matches(phrase, words, 0):
                if end == len(words):
                    return Match(phrase=name, slots=dict(slots))
        return None

    def draw(self, rng: np.random.Generator) -> str:
        """Something that may be said, in words as `normalize` has them.

        A phrase that may be said in many ways is drawn more often than one with few, by the
        logarithm of their number.

        Example:

            >>> Grammar.of(["room {1..3}"]).draw(np.random.default_rng(0))
            'room two'
        """
        phrase = self.phrases[np.searchsorted(self._shares, rng.random(), side="right")]
        while not (words := list(_drawn(phrase, rng))):
            pass
        return " ".join(words)

    @functools.cached_property
    def _shares(self) -> np.ndarray:
        """float64 [phrases], by which part of all draws each phrase or one before it is drawn."""
        shares = np.cumsum([1 + _bits(phrase) for phrase in self.phrases])
        return shares / shares[-1]


def _bits(node: _Node) -> float:
    """The logarithm to base 2 of the number of ways in which something may be said."""
    match node:
        case _Sequence(parts):
            return sum(map(_bits, parts))
        case _Choice(options):
            return float(np.logaddexp2.reduce([_bits(option) for option in options]))
        case _Repeat(part):
            return _bits(part) * _MOST_REPEATS / 2
        case _Slot(_, part):
            return _bits(part)
    return 0.0


def _drawn(node: _Node, rng: np.random.Generator) -> Iterator[str]:
    """Words of one way to say a node."""
    match node:
        case _Word(text):
            yield text
        case _Number():
            yield from node.words
        case _Sequence(parts):
            for part in parts:
                yield from _drawn(part, rng)
        case _Choice(options):
            yield from _drawn(options[rng.integers(len(options))], rng)
        case _Repeat(part):
            for _ in range(rng.integers(1, _MOST_REPEATS + 1)):
                yield from _drawn(part, rng)
        case _Slot(_, part):
            yield from _drawn(part, rng)


_Slots = tuple[tuple[str, Any], ...]


def _matches(node: _Node, words: list[str], start: int) -> Iterator[tuple[int, _Slots]]:
    """Where a node may end that begins at a word, and the slots within."""
    match node:
        case _Word(text):
            if words[start : start + 1] == [text]:
                yield start + 1, ()
        case _Number():
            said = node.words
            if words[start : start + len(said)] == said:
                yield start + len(said), ()
        case _Sequence(parts):
            if not parts:
                yield start, ()
                return
            for middle, first in _matches(parts[0], words, start):
                for end, rest in _matches(_Sequence(parts[1:]), words, middle):
                    yield end, first + rest
        case _Choice(options):
            for option in options:
                yield from _matches(option, words, start)
        case _Repeat(part):
            for middle, first in _matches(part, words, start):
                if middle > start:
                    for end, rest in _matches(node, words, middle):
                        yield end, first + rest
                yield middle, first
        case _Slot(name, part):
            if isinstance(part, _Choice) and all(isinstance(o, _Number) for o in part.options):
                # The longest number: "twenty five" is not "twenty".
                for number in sorted(part.options, key=lambda option: -len(option.words)):
                    for end, _ in _matches(number, words, start):
                        yield end, ((name, number.value),)
                return
            for end, slots in _matches(part, words, start):
                yield end, ((name, " ".join(words[start:end])), *slots)


class _Automaton:
    """States, and what leads from one to another."""

    def __init__(self) -> None:
        self.words: list[dict[str, set[int]]] = [{}]
        self.free: list[set[int]] = [set()]

    def state(self) -> int:
        self.words.append({})
        self.free.append(set())
        return len(self.words) - 1

    def join(self, one: int, other: int) -> None:
        self.free[one].add(other)

    def add(self, node: _Node, start: int) -> int:
        """Adds a node behind a state; returns the state behind it."""
        match node:
            case _Word(text):
                return self._word(start, text)
            case _Number():
                for word in node.words:
                    start = self._word(start, word)
                return start
            case _Sequence(parts):
                for part in parts:
                    start = self.add(part, start)
                return start
            case _Choice(options):
                end = self.state()
                for option in options:
                    self.join(self.add(option, start), end)
                return end
            case _Repeat(part):
                # A state of its own, so that what comes before is not repeated.
                first = self.state()
                self.join(start, first)
                end = self.add(part, first)
                last = self.state()
                self.join(end, last)
                self.join(last, first)
                return last
            case _Slot(_, part):
                return self.add(part, start)

    def _word(self, start: int, word: str) -> int:
        end = self.state()
        self.words[start].setdefault(word, set()).add(end)
        return end


class _Parser:
    """Reads an expression."""

    def __init__(self, expression: str):
        self._expression = expression
        self._tokens = _TOKEN.findall(expression)
        self._place = 0

    def parsed(self) -> _Node:
        node = self._choice()
        if self._place < len(self._tokens):
            raise self._error(f"{self._tokens[self._place]!r} closes nothing")
        if not self._says_something(node):
            raise self._error("it has no word")
        return node

    def _choice(self) -> _Node:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._place < len(self._tokens) and self._tokens[self._place] not in ")]}|":
            part = self._part()
            if self._take("+"):
                part = _Repeat(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _part(self) -> _Node:
        token = self._tokens[self._place]
        self._place += 1
        if token == "(":
            return self._closed(")")
        if token == "[":
            return _Choice((self._closed("]"), _NOTHING))
        if token.startswith("{"):
            name = token[1:].rstrip(":").strip()
            part = self._closed("}")
            return _Slot(name, part) if name else part
        if token == "+":
            raise self._error("'+' repeats nothing")
        if numbers := _RANGE.fullmatch(token):
            return self._numbers(int(numbers[1]), int(numbers[2]))
        if token.isdecimal():
            return _Number(int(token))
        return _Sequence(tuple(_Word(word) for word in normalize(token).split()))

    def _closed(self, bracket: str) -> _Node:
        node = self._choice()
        if not self._take(bracket):
            raise self._error(f"{bracket!r} is missing")
        return node

    def _numbers(self, first: int, last: int) -> _Node:
        if not first <= last < first + _MOST_NUMBERS:
            raise self._error(f"{first}..{last} is no range of at most {_MOST_NUMBERS:,} numbers")
        return _Choice(tuple(_Number(value) for value in range(first, last + 1)))

    def _take(self, token: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == token:
            self._place += 1
            return True
        return False

    def _says_something(self, node: _Node) -> bool:
        match node:
            case _Sequence(parts):
                return any(map(self._says_something, parts))
            case _Choice(options):
                return any(map(self._says_something, options))
            case _Repeat(part) | _Slot(_, part):
                return self._says_something(part)
        return True

    def _error(self, reason: str) -> UserError:
        return UserError(f"The phrase {self._expression.strip()!r} cannot be read: {reason}.")
