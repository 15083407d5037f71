"""How texts are spelled in the pieces of a vocabulary, without the library that trained them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import WORD_BOUNDARY, Vocabulary
from int4_conformer.text.writing import WORDS, Writing


class Encodes(Protocol):
    """What spells texts: a `Spelling`, or any tokenizer."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids mean."""

    @property
    def writing(self) -> Writing:
        """How the texts are written that it is for."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text; UserError where a symbol is outside the vocabulary."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spelling:
    """Spells a text as the tokenizer does that a model was trained with.

    Of the ways to put a text together from pieces, it takes the one whose scores have the highest
    sum (Viterbi), as SentencePiece's unigram models do (arXiv 1804.10959).

    Example:

        >>> letters = Vocabulary(pieces=("<blank>", "\u2581", "a", "b"))
        >>> Spelling(vocabulary=letters).encode("ab a")
        [2, 3, 1, 2]
    """

    vocabulary: Vocabulary
    # Of each id; None where there is but one way to spell a text.
    piece_scores: tuple[float, ...] | None = None
    # Whether there is a word boundary before the first word, too.
    marks_first_word: bool = False
    # How the texts are written.
    writing: Writing = WORDS

    def encode(self, text: str) -> list[int]:
        """Ids of a text, written as `writing` says.

        Raises:
            UserError: a symbol of the text is not in the vocabulary.
        """
        marked = text.replace(" ", WORD_BOUNDARY)
        if self.marks_first_word and marked:
            marked = WORD_BOUNDARY + marked
        longest = max(map(len, self.vocabulary.pieces[1:]), default=0)
        # Of each beginning of the text: the best sum, and the last piece on the way to it.
        best: list[tuple[float, str]] = [(0.0, "")]
        for end in range(1, len(marked) + 1):
            pieces = (marked[start:end] for start in range(end - 1, max(end - longest, 0) - 1, -1))
            best.append(
                max(
                    ((best[end - len(piece)][0] + self._score(piece), piece) for piece in pieces),
                    key=lambda offer: offer[0],
                    default=(-math.inf, ""),
                )
            )
            if best[-1][0] == -math.inf and marked[end - 1] not in self.vocabulary.ids:
                raise UserError(
                    f"The symbol {marked[end - 1].replace(WORD_BOUNDARY, ' ')!r} of the text "
                    f"{text!r} is not in the vocabulary of this model."
                )
        ids, end = [], len(marked)
        while end:
            piece = best[end][1]
            ids.append(self.vocabulary.ids[piece])
            end -= len(piece)
        return ids[::-1]

    def to_config(self) -> dict[str, Any]:
        """A dict that JSON can hold, without the vocabulary."""
        return {
            "piece_scores": self.piece_scores and list(self.piece_scores),
            "marks_first_word": self.marks_first_word,
            **self.writing.to_entry(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], vocabulary: Vocabulary) -> "Spelling":
        """The inverse of `to_config`."""
        scores = config["piece_scores"]
        return cls(
            vocabulary=vocabulary,
            piece_scores=scores and tuple(scores),
            marks_first_word=config["marks_first_word"],
            writing=Writing.from_entry(config),
        )

    def _score(self, piece: str) -> float:
        index = self.vocabulary.ids.get(piece, 0)
        if not index:
            return -math.inf
        return 0.0 if self.piece_scores is None else self.piece_scores[index]
