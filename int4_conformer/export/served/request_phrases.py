"""Phrases of a request, made tokens in graph, as `text.normalize` and the tokenizers do."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from int4_conformer.decoding.phrase_tables import NO_SYMBOL
from int4_conformer.errors import UserError
from int4_conformer.search.phrase_automaton import word_beginnings
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.vocabulary import WORD_BOUNDARY

_BUCKETS = 2**62
_IMPOSSIBLE = -1e30


class Symbols(NamedTuple):
    """Phrases as `decoding.phrase_tables` takes them."""

    # int32 [batch, phrases, length].
    symbols: tf.Tensor
    # string [batch], which phrase of a row cannot be written in the vocabulary; "" if none.
    error: tf.Tensor


class PhraseReader:
    """Splits phrases into the pieces of a vocabulary, the likeliest way (Viterbi).

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: Tokenizer):
        pieces = tokenizer.vocabulary.pieces
        hashes = tf.strings.to_hash_bucket_fast(tf.constant(pieces), _BUCKETS).numpy()
        if len(set(hashes)) < len(hashes):
            raise UserError("Two pieces of the vocabulary have the same hash; train it anew.")
        order = np.argsort(hashes)
        self._hashes = tf.constant(hashes[order])
        self._ids = tf.constant(order.astype(np.int32))
        self._pieces = tf.constant(pieces)
        scores = np.array(tokenizer.piece_scores, np.float32)
        # The blank spells nothing.
        scores[0] = _IMPOSSIBLE
        self._scores = tf.constant(scores)
        self._begins = tf.constant(word_beginnings(tokenizer.vocabulary))
        self._longest = max(map(len, pieces[1:]))
        self._marks_first_word = tokenizer.marks_first_word

    def __call__(self, phrases: tf.Tensor) -> Symbols:
        """Reads string [batch, phrases]; empty ones are none."""
        shape = tf.shape(phrases)
        texts = _normalized(tf.reshape(phrases, [-1]))
        ids, counts, known = self._segmented(texts)
        real = tf.sequence_mask(counts, tf.shape(ids)[1]) & known[:, None]
        # A boundary before each token that begins a word, and the token if it is more than that.
        boundary = real & tf.gather(self._begins, ids)
        token = real & (tf.gather(self._pieces, ids) != WORD_BOUNDARY)
        pairs = tf.stack([tf.where(boundary, 0, NO_SYMBOL), tf.where(token, ids, NO_SYMBOL)], -1)
        symbols = tf.reshape(pairs, [tf.shape(ids)[0], -1])
        begun = tf.cumsum(tf.cast(symbols > 0, tf.int32), axis=1) > 0
        kept = tf.ragged.boolean_mask(symbols, begun & (symbols != NO_SYMBOL))
        some = tf.cast(kept.row_lengths() > 0, tf.int64)
        ends = tf.RaggedTensor.from_row_lengths(tf.zeros([tf.reduce_sum(some)], tf.int32), some)
        symbols = tf.concat([kept, ends], axis=1).to_tensor(NO_SYMBOL)
        # At least one column, so that there is a longest phrase.
        symbols = tf.pad(symbols, [[0, 0], [0, 1]], constant_values=NO_SYMBOL)
        unknown = tf.strings.join(
            ["The phrase '", texts, "' has a symbol that is not in the vocabulary."]
        )
        errors = tf.reshape(tf.where(known, "", unknown), shape)
        symbols = tf.reshape(symbols, tf.concat([shape, [tf.shape(symbols)[1]]], axis=0))
        return Symbols(symbols, _first_of_rows(errors))

    def _segmented(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """int32 [texts, length] tokens, int32 [texts] how many, bool [texts] whether they spell the
        text."""
        marked = tf.strings.regex_replace(texts, " ", WORD_BOUNDARY)
        if self._marks_first_word:
            marked = tf.where(texts == "", "", tf.strings.join([WORD_BOUNDARY, marked]))
        split = tf.strings.unicode_split(marked, "UTF-8")
        lengths = tf.cast(split.row_lengths(), tf.int32)
        # At least one, so that there is something to go through.
        symbols = tf.pad(split.to_tensor(""), [[0, 0], [0, 1]], constant_values="")
        longest = tf.shape(symbols)[1]
        candidates = self._candidates(symbols)
        scores = tf.gather(self._scores, tf.maximum(candidates, 0))
        scores = tf.where(candidates > 0, scores, _IMPOSSIBLE)

        # Best scores of the last texts' beginnings, the nearest first.
        nearest = tf.fill([tf.shape(symbols)[0], self._longest], _IMPOSSIBLE)
        nearest = tf.concat([tf.zeros_like(nearest[:, :1]), nearest[:, 1:]], axis=1)

        def forward(at, nearest, sizes, best):
            offers = nearest + scores[:, at]
            value = tf.reduce_max(offers, axis=1)
            sizes = sizes.write(at, tf.argmax(offers, axis=1, output_type=tf.int32))
            best = best.write(at, value)
            return at + 1, tf.concat([value[:, None], nearest[:, :-1]], axis=1), sizes, best

        arrays = tf.TensorArray(tf.int32, longest), tf.TensorArray(tf.float32, longest)
        _, _, sizes, best = tf.while_loop(
            lambda at, *_: at < longest, forward, (tf.constant(0), nearest, *arrays)
        )
        count = tf.shape(symbols)[0]
        sizes, best = (tf.transpose(tf.reshape(x.stack(), [longest, count])) for x in (sizes, best))
        last = tf.maximum(lengths - 1, 0)[:, None]
        known = (lengths == 0) | (tf.gather(best, last, batch_dims=1)[:, 0] > _IMPOSSIBLE / 2)

        def back(at, tokens, turn):
            place = tf.maximum(at, 0)[:, None]
            size = tf.gather(sizes, place, batch_dims=1)
            offered = tf.gather(candidates, place, batch_dims=1)[:, 0]
            token = tf.gather(offered, size, batch_dims=1)[:, 0]
            token = tf.where(at >= 0, tf.maximum(token, 0), 0)
            tokens = tf.tensor_scatter_nd_update(tokens, tf.reshape(turn, [1, 1]), token[None])
            return at - 1 - size[:, 0], tokens, turn + 1

        start = tf.where(known, lengths - 1, -1), tf.zeros([longest, count], tf.int32), 0
        _, tokens, _ = tf.while_loop(lambda at, *_: tf.reduce_any(at >= 0), back, start)
        tokens = tf.transpose(tokens)
        counts = tf.reduce_sum(tf.cast(tokens > 0, tf.int32), axis=1)
        return tf.reverse_sequence(tokens, counts, seq_axis=1), counts, known

    def _candidates(self, symbols: tf.Tensor) -> tf.Tensor:
        """int32 [texts, length, sizes]: the piece of so many symbols that ends at each, -1 where
        there is none; the first size is 1."""
        found, before, text = [], symbols, tf.fill(tf.shape(symbols), "")
        places = tf.range(tf.shape(symbols)[1])
        for size in range(1, self._longest + 1):
            text = tf.strings.join([before, text])
            index = tf.searchsorted(
                self._hashes, tf.reshape(tf.strings.to_hash_bucket_fast(text, _BUCKETS), [-1])
            )
            index = tf.reshape(tf.minimum(index, len(self._ids) - 1), tf.shape(text))
            ids = tf.gather(self._ids, index)
            is_it = (tf.gather(self._pieces, ids) == text) & (places >= size - 1)
            found.append(tf.where(is_it, ids, -1))
            before = tf.concat([tf.fill(tf.shape(before[:, :1]), ""), before[:, :-1]], axis=1)
        return tf.stack(found, axis=-1)


def _normalized(texts: tf.Tensor) -> tf.Tensor:
    """As `text.normalize`, but for symbols that Unicode knows in two ways, which stay as they
    are."""
    texts = tf.strings.lower(texts, "utf-8")
    for pattern, replacement in [
        ("[\u2018\u2019\u02bc`\u00b4]", "'"),
        (r"\[[^\s\[\]][^\[\]]*\]|<[^\s<>][^<>]*>", " "),
        # Twice, for letters between two dots.
        (r"(\pL)\.(\pL)", r"\1\2"),
        (r"(\pL)\.(\pL)", r"\1\2"),
        ("'", "\x01"),
        (r"[\pP\pS\pZ\t\n\r\f\v]", " "),
        (r"(^|\s)\x01+", r"\1"),
        (r"\x01+(\s|$)", r"\1"),
        ("\x01", "'"),
        (r"\s+", " "),
    ]:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.strip(texts)


def _first_of_rows(errors: tf.Tensor) -> tf.Tensor:
    """The first string of each row that is not empty, or ""."""
    padded = tf.pad(errors, [[0, 0], [0, 1]], constant_values="")
    first = tf.argmax(tf.cast(padded != "", tf.int32), axis=1)
    return tf.gather(padded, first, batch_dims=1)
