"""Allows the phrases of a grammar and nothing else."""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.search.grammar import Grammar
from int4_conformer.search.scorer import NOTHING
from int4_conformer.text.spelling import Encodes
from int4_conformer.text.vocabulary import WORD_BOUNDARY

# Tables of more states would take more memory than a phone gives to one app's list.
_MOST_STATES = 200_000
# States of words in which all states of tokens are, together: a short grammar can come to many.
_MOST_HELD = 5_000_000


class ClosedList:
    """A `search.scorer.Bias` by which an utterance says one phrase of a grammar, or nothing.

    Args:
        lines: expressions, as `search.grammar` reads them; a plain phrase is one.
        spelling: of the model.

    Raises:
        UserError: an expression cannot be read, a word cannot be spelled in the vocabulary, or the
            grammar is too large.

    Example:

        >>> from int4_conformer.text.graphemes import Graphemes
        >>> digits = ClosedList(["(zero | one | two)+"], Graphemes())
        >>> digits.grammar.match("two one")
        Match(phrase='(zero | one | two)+', slots={})
    """

    start = 0

    def __init__(self, lines: Sequence[str], spelling: Encodes):
        self.grammar = Grammar.of(lines)
        self._vocab = spelling.vocabulary.size
        words, free, end = self.grammar.arcs()
        self._following, accepts = _tokens(words, free, end, spelling)
        # An utterance may say nothing.
        self._final = [0.0 if accepted else NOTHING for accepted in accepts]
        self._final[self.start] = 0.0

    def __len__(self) -> int:
        """How many states there are."""
        return len(self._final)

    def scores(self, states: np.ndarray) -> np.ndarray:
        """0 for tokens that may follow, `NOTHING` for others: int32 [rows] -> [rows, vocab]."""
        scores = np.full([len(states), self._vocab], NOTHING)
        for row, state in enumerate(states):
            scores[row, list(self._following[state])] = 0.0
        return scores

    def advance(self, state: int, label: int) -> int:
        """The state after a token; one that may not follow changes nothing."""
        return self._following[state].get(label, state)

    def final(self, state: int) -> float:
        """0 where a phrase may end, and before the first word; else `NOTHING`."""
        return self._final[state]


def _tokens(
    words: list[dict[str, set[int]]], free: list[set[int]], end: int, spelling: Encodes
) -> tuple[list[dict[int, int]], list[bool]]:
    """An automaton over tokens that is in one state at a time: what follows each of its states by
    a token, and whether a phrase may end there."""
    following: list[dict[int, set[int]]] = [{} for _ in words]
    first: list[dict[int, set[int]]] = [{} for _ in words]
    spelled = {
        word: (_ids(word, spelling, is_first=True), _ids(word, spelling, is_first=False))
        for arcs in words
        for word in arcs
    }
    for state, arcs in enumerate(words):
        for word, targets in arcs.items():
            for ways, ids in zip((first, following), spelled[word], strict=True):
                for target in targets:
                    place, way = state, ways
                    for token in ids[:-1]:
                        following.append({})
                        way[place].setdefault(token, set()).add(len(following) - 1)
                        place, way = len(following) - 1, following
                    way[place].setdefault(ids[-1], set()).add(target)
                    if len(following) > _MOST_STATES:
                        raise _too_large()

    def with_free(states: Iterable[int]) -> frozenset[int]:
        """All states that these are as well."""
        found, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            for other in free[state] - found if state < len(free) else ():
                found.add(other)
                waiting.append(other)
        return frozenset(found)

    # Before the first word, words are spelled as the first.
    numbers = {("first", with_free([0])): 0}
    tables: list[dict[int, int]] = []
    accepts: list[bool] = []
    queue, held = deque(numbers), 0
    while queue:
        kind, states = queue.popleft()
        accepts.append(end in states)
        moves: dict[int, set[int]] = {}
        for state in states:
            ways = first if kind == "first" and state < len(first) else following
            for token, targets in ways[state].items():
                moves.setdefault(token, set()).update(targets)
        table = {}
        for token, targets in sorted(moves.items()):
            key = ("later", with_free(targets))
            if key not in numbers:
                numbers[key] = len(numbers)
                queue.append(key)
                held += len(key[1])
                if len(numbers) > _MOST_STATES or held > _MOST_HELD:
                    raise _too_large()
            table[token] = numbers[key]
        tables.append(table)
    return tables, accepts


def _too_large() -> UserError:
    return UserError(
        "The list of phrases is too large; it comes to more than "
        f"{_MOST_STATES:,} tokens. Give fewer phrases, or fewer choices in them."
    )


def _ids(word: str, spelling: Encodes, *, is_first: bool) -> list[int]:
    ids = spelling.encode(word)
    vocabulary = spelling.vocabulary
    if is_first or vocabulary.pieces[ids[0]].startswith(WORD_BOUNDARY):
        return ids
    return [vocabulary.ids[WORD_BOUNDARY], *ids]
