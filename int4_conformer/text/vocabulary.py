"""What the recogniser's output ids mean; plain Python, for training and for the runtime alike."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from int4_conformer.errors import UserError

BLANK = "<blank>"
WORD_BOUNDARY = "\u2581"  # "▁", SentencePiece's mark for the space before a word.


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpelledWord:
    """A word and the tokens that spell it."""

    text: str
    # Places in the sequence of tokens, in order. A token that is nothing but the space between two
    # words is in neither.
    places: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The pieces of text that the output ids stand for.

    Invariants: `pieces[0] == "<blank>"`, so `blank_id` is 0; pieces are distinct; a space is
    written "▁".
    """

    pieces: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.pieces or self.pieces[0] != BLANK:
            raise UserError(
                f"`pieces` must begin with {BLANK!r}. Received: {list(self.pieces[:3])}"
            )
        if not all(isinstance(piece, str) for piece in self.pieces):
            wrong = next(piece for piece in self.pieces if not isinstance(piece, str))
            raise UserError(f"`pieces` must be texts. Received: {wrong!r} among them")
        if len(set(self.pieces)) != len(self.pieces):
            repeated = next(piece for piece in self.pieces if self.pieces.count(piece) > 1)
            raise UserError(f"`pieces` must be distinct. Received {repeated!r} more than once.")

    @property
    def size(self) -> int:
        """Number of ids, the blank included."""
        return len(self.pieces)

    @property
    def blank_id(self) -> int:
        return 0

    @functools.cached_property
    def ids(self) -> Mapping[str, int]:
        """The id of each piece."""
        return {piece: index for index, piece in enumerate(self.pieces)}

    def detokenize(self, ids: Iterable[int]) -> str:
        """Text of a sequence of ids; blanks are skipped and spaces collapsed.

        Raises:
          UserError: an id is outside the vocabulary, which then is not the model's own.
        """
        return " ".join(word.text for word in self.words(ids))

    def words(self, ids: Iterable[int]) -> list[SpelledWord]:
        """The words of `detokenize`.

        Raises:
          UserError: as `detokenize`.
        """
        words: list[SpelledWord] = []
        inside = False
        for place, index in enumerate(ids):
            for number, part in enumerate(self._parts(index)):
                inside = inside and not number
                if not part:
                    continue
                if inside:
                    begun = words.pop()
                    text, places = begun.text + part, (*begun.places, place)
                else:
                    text, places = part, (place,)
                words.append(SpelledWord(text=text, places=places))
                inside = True
        return words

    def _parts(self, index: int) -> list[str]:
        """What a token adds to the word before it, and the words that it begins."""
        if not 0 <= index < self.size:
            raise UserError(
                f"The id {index} is outside this vocabulary of {self.size} pieces; "
                "use the vocabulary that the model was trained with."
            )
        if index == self.blank_id:
            return [""]
        return re.split(r"\s", self.pieces[index].replace(WORD_BOUNDARY, " "))

    def to_config(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return {"pieces": list(self.pieces)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Vocabulary":
        """The inverse of `to_config`."""
        return cls(pieces=tuple(config["pieces"]))
