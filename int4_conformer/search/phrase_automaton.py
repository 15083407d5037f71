"""Prefers the phrases of a list: names of contacts, words of a domain.

An Aho-Corasick automaton over the phrases' tokens (Aho & Corasick, CACM 1975), restricted to
matches of whole words. Each token by which a match advances adds a bonus; what a match that fails
has added is taken back at the token by which it fails, so that only whole phrases pay. The bonus of
a whole phrase is kept once its last word has ended, by a space, by the next word or with the
utterance.

Between two words there is a boundary: a space for graphemes, SentencePiece's mark for wordpieces.
It is a symbol of its own in the automaton, 0, the blank's place.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from int4_conformer.errors import UserError, require_finite, require_positive
from int4_conformer.text.spelling import Encodes
from int4_conformer.text.vocabulary import WORD_BOUNDARY, Vocabulary

BOUNDARY = 0
# States: in a word that matches nothing, and at the start of a word.
INSIDE, START = 0, 1
# What only the notation of `search.grammar` has: a slot, a choice, a name.
_GRAMMAR = re.compile(r"[{|]|\w\s*=")

_Automaton = TypeVar("_Automaton", bound="PhraseAutomaton")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PhraseAutomaton:
    """What each token adds in each state, and the state that follows.

    The tables are dense, 8 bytes for a state and a token; there are about as many states as the
    phrases have tokens.
    """

    # int32 [states, vocab].
    following: np.ndarray
    # float32 [states, vocab].
    added: np.ndarray
    # float32 [states], added at the end of the utterance.
    ended: np.ndarray

    start = START

    @classmethod
    def of(
        cls: type[_Automaton], phrases: Sequence[str], tokenizer: Encodes, score: float
    ) -> _Automaton:
        """The automaton of phrases.

        Args:
            phrases: words to prefer, in any spelling; they are written as the tokenizer's texts.
            tokenizer: of the model.
            score: bonus for each token, in nats.

        Raises:
            UserError: `score` is no positive number, no phrase holds a word, one is a grammar, or
                one has a symbol that the tokenizer does not know.
        """
        require_finite(score=score)
        require_positive(score=score)
        for phrase in filter(_GRAMMAR.search, phrases):
            raise UserError(
                f"The phrase {phrase!r} is a grammar, which only a closed list may hold; add "
                "--only (only=True in Python), or write out what it says."
            )
        texts = sorted({tokenizer.writing.of(phrase) for phrase in phrases} - {""})
        if not texts:
            raise UserError(f"The list of phrases holds no word. Received: {len(phrases)} phrases")
        vocabulary = tokenizer.vocabulary
        begins = word_beginnings(vocabulary)
        trie = _Trie(score)
        for text in texts:
            trie.add(phrase_symbols(tokenizer.encode(text), vocabulary))
        return cls(**trie.tables(vocabulary, begins))

    @classmethod
    def read(
        cls: type[_Automaton], path: str | os.PathLike, tokenizer: Encodes, score: float
    ) -> _Automaton:
        """The automaton of a file's phrases, one a line.

        Raises:
            UserError: the file cannot be read, or as `of`.
        """
        return cls.of(read_phrases(path), tokenizer, score)


def read_phrases(path: str | os.PathLike) -> list[str]:
    """The phrases of a file, one a line; empty lines and those that begin with "#" are none.

    Raises:
        UserError: there is none, it cannot be read as text, or holds no phrase.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"There is no list of phrases {path}; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"The list of phrases {path} cannot be read as UTF-8 text; give a file with a phrase "
            "a line."
        ) from error
    phrases = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not phrases:
        raise UserError(f"The list of phrases {path} is empty; give a file with a phrase a line.")
    return phrases


def word_beginnings(vocabulary: Vocabulary) -> np.ndarray:
    """bool [vocab], whether a token begins a word or is the space before one."""
    return np.array([piece.startswith(WORD_BOUNDARY) for piece in vocabulary.pieces])


def phrase_symbols(ids: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The tokens of a phrase with boundaries between its words and behind the last one."""
    symbols: list[int] = []
    for token in ids:
        piece = vocabulary.pieces[token]
        if piece.startswith(WORD_BOUNDARY):
            symbols.append(BOUNDARY)
        if piece != WORD_BOUNDARY:
            symbols.append(token)
    while symbols and symbols[0] == BOUNDARY:
        symbols.pop(0)
    return [*symbols, BOUNDARY] if symbols else []


class _Trie:
    """Phrases as paths from `START`.

    `pending` is what a match up to a node has added and not yet earned: what failing takes back.
    """

    def __init__(self, score: float):
        self._score = score
        self._children: list[dict[int, int]] = [{}, {}]
        # For each node, the bonus of the phrase that ends there, 0 for none.
        self._complete = [0.0, 0.0]

    def add(self, symbols: Sequence[int]) -> None:
        """Adds a phrase, whose last symbol is a boundary."""
        node = START
        for symbol in symbols:
            if symbol not in self._children[node]:
                self._children[node][symbol] = len(self._children)
                self._children.append({})
                self._complete.append(0.0)
            node = self._children[node][symbol]
        self._complete[node] = self._score * sum(symbol != BOUNDARY for symbol in symbols)

    def tables(self, vocabulary: Vocabulary, begins: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of `PhraseAutomaton`."""
        following, added, pending = self._moves(vocabulary.size)
        # A token that begins a word crosses the boundary first.
        crossed, crossing = following[:, BOUNDARY], added[:, BOUNDARY]
        tokens, scores = following.copy(), added.copy()
        tokens[:, begins] = following[crossed][:, begins]
        scores[:, begins] = crossing[:, None] + added[crossed][:, begins]
        lone = [index for index, piece in enumerate(vocabulary.pieces) if piece == WORD_BOUNDARY]
        tokens[:, lone], scores[:, lone] = crossed[:, None], crossing[:, None]
        tokens[:, 0], scores[:, 0] = np.arange(len(tokens)), 0
        return {
            "following": tokens.astype(np.int32),
            "added": scores.astype(np.float32),
            "ended": (crossing - pending[crossed]).astype(np.float32),
        }

    def _moves(self, symbols: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each node: the next one by each symbol, what that adds, and what is pending."""
        count = len(self._children)
        following = np.full([count, symbols], INSIDE)
        added = np.zeros([count, symbols])
        pending = np.zeros(count)
        # The longest match among the suffixes that begin with a word, and the best phrase that
        # ends here.
        fallback = np.full(count, INSIDE)
        earned = np.array(self._complete)
        following[INSIDE, BOUNDARY] = START
        # Shorter matches first: a fallback is shorter than what falls back to it.
        queue = [START]
        for node in queue:
            shorter = fallback[node]
            following[node] = following[shorter]
            added[node] = added[shorter] + pending[shorter] - pending[node]
            for symbol, child in self._children[node].items():
                fallback[child] = INSIDE if node == START else following[shorter, symbol]
                if symbol == BOUNDARY:
                    earned[child] = max(earned[child], earned[fallback[child]])
                    pending[child] = max(0.0, pending[node] - earned[child])
                    added[node, symbol] = 0.0
                else:
                    pending[child] = pending[node] + self._score
                    added[node, symbol] = self._score
                following[node, symbol] = child
                queue.append(child)
        return following, added, pending
