"""What every tokenizer does, and reading one back from its configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import WORD_BOUNDARY, Vocabulary
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.text.writing import Writing

if TYPE_CHECKING:
    import tensorflow as tf


class Tokenizer(Protocol):
    """Text to label ids; id 0, the blank, never labels a text."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids mean."""

    @property
    def writing(self) -> Writing:
        """How the texts are written that it is for."""

    @property
    def piece_scores(self) -> tuple[float, ...]:
        """Of each id: of the ways to spell a text, the one with the highest sum is its own."""

    @property
    def marks_first_word(self) -> bool:
        """Whether there is a word boundary before the first word, too."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text; UserError where a symbol is outside the vocabulary."""

    def encode_tf(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """The same ids in graph: string `[batch]` -> int32 ragged `[batch, labels]`."""

    def to_config(self) -> dict[str, Any]:
        """A dict that JSON can hold, for `tokenizer_from_config`."""


_TYPES = {"graphemes": Graphemes, "wordpieces": Wordpieces}


def tokenizer_from_config(config: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_config` gave `config`.

    Raises:
      UserError: `config["type"]` names no tokenizer.
    """
    kind = config.get("type")
    if kind not in _TYPES:
        raise UserError(f"A tokenizer's `type` must be one of {sorted(_TYPES)}. Received: {kind!r}")
    return _TYPES[kind].from_config(config)


def tokenizer_of(spelling: Spelling) -> Tokenizer:
    """The tokenizer that spells alike, as a recogniser's file tells it."""
    if spelling.marks_first_word:
        return Wordpieces.from_spelling(spelling)
    charset = "".join(spelling.vocabulary.pieces[1:]).replace(WORD_BOUNDARY, " ")
    return Graphemes(charset=charset, writing=spelling.writing)
