"""Expressions of a grammar, read into trees; `search.grammar` has the notation."""

import dataclasses
import re
from collections.abc import Iterator

from int4_conformer.errors import UserError
from int4_conformer.text.normalize import normalize
from int4_conformer.text.spoken_numbers import LARGEST, spoken_number

_TOKEN = re.compile(r"\s*(\{\s*(?:[A-Za-z_]\w*\s*:)?|[()\[\]}|+]|[^\s()\[\]{}|+]+)")
_RANGE = re.compile(r"(\w+)\.\.(\w+)")
_MOST_NUMBERS = 10_000
# Brackets in brackets.
_MOST_NESTED = 50


@dataclasses.dataclass(frozen=True)
class Word:
    """A word as `normalize` has it."""

    text: str


@dataclasses.dataclass(frozen=True)
class Number:
    """A number, said in words."""

    value: int

    @property
    def words(self) -> list[str]:
        """As it is said."""
        return spoken_number(self.value).split()


@dataclasses.dataclass(frozen=True)
class Range:
    """A number from one to another."""

    first: int
    last: int

    @property
    def numbers(self) -> Iterator[Number]:
        """All of them."""
        return map(Number, range(self.first, self.last + 1))


@dataclasses.dataclass(frozen=True)
class Series:
    """Parts, one after the other."""

    parts: tuple["Node", ...]


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several."""

    options: tuple["Node", ...]


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A part, once or several times."""

    part: "Node"


@dataclasses.dataclass(frozen=True)
class Slot:
    """A part that has a name."""

    name: str
    part: "Node"


Node = Word | Number | Range | Series | Choice | Repeat | Slot
NOTHING = Series(())


def parsed(expression: str) -> Node:
    """What an expression says.

    Raises:
        UserError: it is not closed, is nested too deep, has an empty slot or range or a number
            that is too large, or says nothing.
    """
    return _Parser(expression).parsed()


class _Parser:
    """Reads an expression."""

    def __init__(self, expression: str):
        self._expression = expression
        self._tokens = _TOKEN.findall(expression)
        self._place = 0
        # Brackets that are open.
        self._nested = 0

    def parsed(self) -> Node:
        node = self._choice()
        if self._place < len(self._tokens):
            raise self._error(f"{self._tokens[self._place]!r} closes nothing")
        if not self._says_something(node):
            raise self._error("it has no word")
        return node

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._place < len(self._tokens) and self._tokens[self._place] not in ")]}|":
            part = self._part()
            if self._take("+"):
                part = Repeat(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else Series(tuple(parts))

    def _part(self) -> Node:
        token = self._tokens[self._place]
        self._place += 1
        if token == "(":
            return self._closed(")")
        if token == "[":
            return Choice((self._closed("]"), NOTHING))
        if token.startswith("{"):
            name = token[1:].rstrip(":").strip()
            part = self._closed("}")
            if not self._says_something(part):
                raise self._error(f"the slot {token + '}'!r} has no word")
            return Slot(name, part) if name else part
        if token == "+":
            raise self._error("'+' repeats nothing")
        if token == "=":
            raise self._error("before '=' stands a name, of letters, digits and _ alone")
        if numbers := _RANGE.fullmatch(token):
            if not all(map(str.isdecimal, numbers.groups())):
                raise self._error(f"{token!r} is no range of numbers, such as 1..60")
            return self._range(self._number(numbers[1]), self._number(numbers[2]))
        if token.isdecimal():
            return Number(self._number(token))
        return Series(tuple(Word(word) for word in normalize(token).split()))

    def _closed(self, bracket: str) -> Node:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise self._error(f"it has more than {_MOST_NESTED} brackets in each other")
        node = self._choice()
        self._nested -= 1
        if not self._take(bracket):
            raise self._error(f"{bracket!r} is missing")
        return node

    def _number(self, digits: str) -> int:
        if len(digits) > len(str(LARGEST)):
            raise self._error(f"numbers are spelled from 0 to {LARGEST:,}")
        return int(digits)

    def _range(self, first: int, last: int) -> Node:
        if not first <= last < first + _MOST_NUMBERS:
            raise self._error(f"{first}..{last} is no range of at most {_MOST_NUMBERS:,} numbers")
        return Range(first, last)

    def _take(self, token: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place] == token:
            self._place += 1
            return True
        return False

    def _says_something(self, node: Node) -> bool:
        match node:
            case Series(parts):
                return any(map(self._says_something, parts))
            case Choice(options):
                return any(map(self._says_something, options))
            case Repeat(part) | Slot(_, part):
                return self._says_something(part)
        return True

    def _error(self, reason: str) -> UserError:
        return UserError(f"The phrase {self._expression.strip()!r} cannot be read: {reason}.")
