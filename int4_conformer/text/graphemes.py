"""A tokenizer whose pieces are single characters."""

import dataclasses
import functools
import string
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import BLANK, WORD_BOUNDARY, Vocabulary
from int4_conformer.text.writing import WORDS, Writing

if TYPE_CHECKING:
    import tensorflow as tf

ENGLISH = " '" + string.ascii_lowercase


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graphemes:
    """Characters (Unicode code points) as pieces: id 0 the blank, id `1 + i` is `charset[i]`."""

    # Distinct characters in the order of their ids; the space is the word boundary.
    charset: str = ENGLISH
    # How the texts are written that it is for.
    writing: Writing = WORDS

    def __post_init__(self) -> None:
        if not self.charset:
            raise UserError("`charset` must hold at least one character. Received: ''")
        if len(set(self.charset)) != len(self.charset):
            raise UserError(f"`charset` must not repeat. Received: {self.charset!r}")
        if WORD_BOUNDARY in self.charset:
            raise UserError(
                f"`charset` must not hold {WORD_BOUNDARY!r}, which stands for the space. "
                f"Received: {self.charset!r}"
            )

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> "Graphemes":
        """The charset of a corpus, sorted; the space is always in it.

        Raises:
          UserError: the texts hold no character.
        """
        characters = set().union(*texts)
        if not characters:
            raise UserError(
                "The texts hold no character to make a vocabulary of; give transcripts."
            )
        return cls(charset="".join(sorted(characters | {" "})))

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(pieces=(BLANK, *self.charset.replace(" ", WORD_BOUNDARY)))

    @property
    def piece_scores(self) -> tuple[float, ...]:
        """There is but one way to spell a text."""
        return (0.0,) * self.vocabulary.size

    @property
    def marks_first_word(self) -> bool:
        return False

    def encode(self, text: str) -> list[int]:
        """Ids of a text.

        Raises:
          UserError: a symbol of the text is not in the charset.
        """
        try:
            return [self._ids[symbol] for symbol in text]
        except KeyError as error:
            raise UserError(
                f"The symbol {error.args[0]!r} of the text {text!r} is not in the vocabulary; "
                "normalize the text or build the vocabulary from this corpus."
            ) from error

    def encode_tf(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """`encode` in graph: string `[batch]` -> int32 ragged `[batch, labels]`.

        Raises:
          tf.errors.InvalidArgumentError: a symbol is not in the charset, on running.
        """
        import tensorflow as tf

        # Looked up by bisection rather than in a hash table, a resource that would have to be
        # kept alive and initialised wherever the graph goes.
        code_points = sorted((ord(symbol), 1 + i) for i, symbol in enumerate(self.charset))
        known = tf.constant([point for point, _ in code_points], tf.int32)
        ids = tf.constant([index for _, index in code_points], tf.int32)
        symbols = tf.strings.unicode_decode(texts, "UTF-8")
        points = symbols.flat_values
        places = tf.minimum(tf.searchsorted(known, points), len(code_points) - 1)
        message = "a symbol of the texts is not in the vocabulary"
        with tf.control_dependencies(
            [tf.debugging.assert_equal(tf.gather(known, places), points, message=message)]
        ):
            return symbols.with_flat_values(tf.gather(ids, places))

    def to_config(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return {"type": "graphemes", "charset": self.charset} | self.writing.to_entry()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Graphemes":
        """The inverse of `to_config`."""
        return cls(charset=config["charset"], writing=Writing.from_entry(config))

    @functools.cached_property
    def _ids(self) -> Mapping[str, int]:
        return {symbol: 1 + i for i, symbol in enumerate(self.charset)}
