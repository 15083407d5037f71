"""A tokenizer whose pieces are parts of words, from a SentencePiece model."""

import base64
import dataclasses
import functools
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto, TrainerSpec

from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import BLANK, WORD_BOUNDARY, Vocabulary
from int4_conformer.text.writing import WORDS, Writing

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wordpieces:
    """SentencePiece ids as they are, with no offset.

    SentencePiece needs an unknown piece and the transducer a blank, and neither ever labels a
    text that can be encoded: id 0 is both, named "<blank>" in the model itself.
    """

    # A serialised SentencePiece model with id 0 "<blank>" and without begin, end and padding.
    model: bytes = dataclasses.field(repr=False)
    # How the texts are written that it is for.
    writing: Writing = WORDS

    def __post_init__(self) -> None:
        try:
            unknown, pieces = self._processor.unk_id(), self._pieces
        except (RuntimeError, UnicodeDecodeError) as error:
            raise UserError(
                f"`model` must be a SentencePiece model. Received {len(self.model)} bytes."
            ) from error
        if unknown != 0 or pieces[:1] != (BLANK,):
            raise UserError(
                f"`model` must have the unknown piece at id 0 under the name {BLANK!r}, as "
                f"Wordpieces.train writes it. Received: {', '.join(pieces[:1])!r} at id 0 "
                f"and the unknown piece at id {unknown}"
            )

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, symbols: Sequence[str] = ()
    ) -> "Wordpieces":
        """Trains a unigram model.

        Args:
          texts: normalised transcripts.
          vocab_size: number of ids, the blank included.
          symbols: what is one piece wherever it stands, such as "[noise]".

        Raises:
          UserError: the texts are too few for `vocab_size`, or have more symbols than it.
        """
        if vocab_size < 2:
            raise UserError(
                "`vocab_size` must be at least 2, the blank and a symbol. "
                f"Received: vocab_size={vocab_size}"
            )
        texts = [text for text in texts if text.strip()]
        if not texts:
            raise UserError("The texts hold no word to train wordpieces on; give transcripts.")
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size,
                unk_id=0,
                unk_piece=BLANK,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                user_defined_symbols=list(symbols),
                # Texts are normalised before, and every symbol of theirs gets a piece.
                normalization_rule_name="identity",
                character_coverage=1.0,
                # SentencePiece silently skips longer texts; its default is 4192 bytes.
                max_sentence_length=1 << 20,
                # Sums over threads depend on their number: fixed, so that models repeat.
                num_threads=4,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise _training_error(error, vocab_size) from error
        return cls(model=model.getvalue())

    @classmethod
    def from_spelling(cls, spelling: Spelling) -> "Wordpieces":
        """Those that spell alike, of what a recogniser's file tells of them."""
        pieces = spelling.vocabulary.pieces
        model = ModelProto()
        for piece, score in zip(pieces, spelling.piece_scores or [0.0] * len(pieces), strict=True):
            model.pieces.add(piece=piece, score=score)
        model.pieces[0].type = ModelProto.SentencePiece.UNKNOWN
        model.trainer_spec.model_type = TrainerSpec.UNIGRAM
        model.trainer_spec.unk_piece = pieces[0]
        for name in ("bos_id", "eos_id", "pad_id"):
            setattr(model.trainer_spec, name, -1)
        model.normalizer_spec.name = "identity"
        return cls(model=model.SerializeToString(), writing=spelling.writing)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(pieces=self._pieces)

    @functools.cached_property
    def piece_scores(self) -> tuple[float, ...]:
        """Logarithms of the pieces' probabilities."""
        processor = self._processor
        return tuple(map(processor.get_score, range(len(processor))))

    @property
    def marks_first_word(self) -> bool:
        return True

    def encode(self, text: str) -> list[int]:
        """Ids of a text, the likeliest segmentation.

        Raises:
          UserError: a symbol of the text is not in the model, or the model is one of whole words
            and lacks one.
        """
        ids = self._processor.encode(text)
        if 0 in ids:
            symbols = self.vocabulary.ids
            unknown = [s for s in text if s.replace(" ", WORD_BOUNDARY) not in symbols]
            if not unknown:
                raise UserError(
                    f"The text {text!r} has a word that is not in the vocabulary, which parts no "
                    "words; take wordpieces of the type `unigram` or `bpe`."
                )
            raise UserError(
                f"The symbol {unknown[0]!r} of the text {text!r} is not in the vocabulary; "
                "normalize the text or train the wordpieces on this corpus."
            )
        return ids

    def encode_tf(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """`encode` in graph: string `[batch]` -> int32 ragged `[batch, labels]`.

        Raises:
          tf.errors.InvalidArgumentError: a symbol is not in the model, on running.
        """
        import tensorflow as tf
        import tensorflow_text as tf_text

        ids = tf_text.SentencepieceTokenizer(model=self.model).tokenize(texts)
        message = "a symbol of the texts is not in the vocabulary"
        with tf.control_dependencies(
            [tf.debugging.assert_positive(ids.flat_values, message=message)]
        ):
            return ids.with_flat_values(tf.identity(ids.flat_values))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the SentencePiece model, whole or not at all.

        Raises:
          UserError: the file cannot be written.
        """
        write_beside(path, self.model)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Wordpieces":
        """Reads a model that `save` wrote.

        Raises:
          UserError: the file is missing or no such model.
        """
        if not Path(path).is_file():
            raise UserError(f"There is no wordpiece model {path}; train one or check the path.")
        return cls(model=Path(path).read_bytes())

    def to_config(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        model = base64.b64encode(self.model).decode("ascii")
        return {"type": "wordpieces", "model": model} | self.writing.to_entry()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Wordpieces":
        """The inverse of `to_config`."""
        model = base64.b64decode(config["model"])
        return cls(model=model, writing=Writing.from_entry(config))

    @functools.cached_property
    def _pieces(self) -> tuple[str, ...]:
        processor = self._processor
        return tuple(map(processor.id_to_piece, range(len(processor))))

    @functools.cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.model)


def _training_error(error: RuntimeError, vocab_size: int) -> Exception:
    """SentencePiece's own refusals of `vocab_size` in our words; any other error as it is."""
    if most := re.search(r"Vocabulary size too high .*<= (\d+)", str(error)):
        return UserError(
            f"`vocab_size` must be at most {most[1]} for these texts. "
            f"Received: vocab_size={vocab_size}"
        )
    if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
        return UserError(
            f"`vocab_size` must be at least {least[1]}, the symbols of these texts and the "
            f"blank. Received: vocab_size={vocab_size}"
        )
    return error
