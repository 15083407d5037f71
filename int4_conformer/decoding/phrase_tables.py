"""The automaton of `search.phrase_automaton`, made in graph: of phrases that come with a request.

States are numbered by the length of what they match: 0 is in a word that matches nothing, 1 at the
start of a word, and `1 + length * phrases + phrase` has matched so much of a phrase, the first of
those that begin alike.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from int4_conformer.search.phrase_automaton import BOUNDARY, INSIDE, START, word_beginnings
from int4_conformer.text.vocabulary import WORD_BOUNDARY, Vocabulary

# What stands behind the last symbol of a phrase.
NO_SYMBOL = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestBias:
    """A `decoding.beam.Bias` with phrases of its own for each utterance of a batch.

    Its states are those of all utterances, one after the other.
    """

    # int32 and float32 [batch * states, vocab], and float32 [batch * states], as `PhraseAutomaton`.
    following: tf.Tensor
    added: tf.Tensor
    ended: tf.Tensor
    # int32 [batch, 1].
    start: tf.Tensor

    @classmethod
    def of(cls, symbols: tf.Tensor, score: tf.Tensor, vocabulary: Vocabulary) -> "RequestBias":
        """The automata of utterances.

        Args:
            symbols: int32 [batch, phrases, length], of phrases as `search.phrase_automaton` has
                them, with a boundary behind the last word, then `NO_SYMBOL`.
            score: float32 [batch], bonus for each token, in nats.
            vocabulary: of the model.
        """
        following, added, ended = tf.map_fn(
            lambda row: _tables(*row, vocabulary),
            (symbols, score),
            fn_output_signature=(
                tf.TensorSpec([None, vocabulary.size], tf.int32),
                tf.TensorSpec([None, vocabulary.size], tf.float32),
                tf.TensorSpec([None], tf.float32),
            ),
        )
        batch, states = tf.unstack(tf.shape(ended))
        first = tf.range(batch)[:, None] * states
        return cls(
            following=tf.reshape(following + first[:, :, None], [-1, vocabulary.size]),
            added=tf.reshape(added, [-1, vocabulary.size]),
            ended=tf.reshape(ended, [-1]),
            start=first + START,
        )

    def scores(self, states: tf.Tensor) -> tf.Tensor:
        """What each token adds: int32 [rows] -> float32 [rows, vocab]."""
        return tf.gather(self.added, states)

    def advance(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The states after labels, each int32 [rows]; the blank changes nothing."""
        return tf.gather_nd(self.following, tf.stack([states, labels], axis=1))

    def final(self, states: tf.Tensor) -> tf.Tensor:
        """What the end of the utterance adds: int32 [rows] -> float32 [rows]."""
        return tf.gather(self.ended, states)


class _Moves(NamedTuple):
    """What is known of states so far."""

    # int32 and float32 [states, vocab]: the next state by each symbol, and what that adds.
    following: tf.Tensor
    added: tf.Tensor
    # float32 [states]: what a match has added and not yet earned, and what it has earned.
    pending: tf.Tensor
    earned: tf.Tensor
    # int32 [states], the longest other match that ends where this one does.
    fallback: tf.Tensor


def _tables(
    symbols: tf.Tensor, score: tf.Tensor, vocabulary: Vocabulary
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`following`, `added` and `ended` of one utterance, whose phrases are int32 [phrases,
    length]."""
    moves = _moves(symbols, score, vocabulary.size)
    following, added = moves.following, moves.added
    begins = tf.constant(word_beginnings(vocabulary))
    lone = tf.constant(np.array([piece == WORD_BOUNDARY for piece in vocabulary.pieces]))
    # A token that begins a word crosses the boundary first.
    crossed, crossing = following[:, BOUNDARY], added[:, BOUNDARY]
    tokens = tf.where(begins, tf.gather(following, crossed), following)
    scores = tf.where(begins, crossing[:, None] + tf.gather(added, crossed), added)
    tokens = tf.where(lone, crossed[:, None], tokens)
    scores = tf.where(lone, crossing[:, None], scores)
    blank = tf.constant(np.arange(vocabulary.size) == BOUNDARY)
    tokens = tf.where(blank, tf.range(tf.shape(tokens)[0])[:, None], tokens)
    scores = tf.where(blank, 0.0, scores)
    return tokens, scores, crossing - tf.gather(moves.pending, crossed)


def _moves(symbols: tf.Tensor, score: tf.Tensor, vocab: int) -> _Moves:
    phrases, longest = tf.unstack(tf.shape(symbols))
    first = _first_alike(symbols)
    ends = tf.reduce_sum(tf.cast(symbols != NO_SYMBOL, tf.int32), axis=1)
    states = 1 + (longest + 1) * phrases

    def state(length: tf.Tensor) -> tf.Tensor:
        """int32 [phrases], the states that have matched so much of each."""
        return 1 + length * phrases + tf.gather(first, length)

    def level(length: tf.Tensor, moves: _Moves) -> tuple[tf.Tensor, _Moves]:
        """The moves of states of a length, and facts of those that are longer by one."""
        here = state(length)
        places = (1 + length * phrases + tf.range(phrases))[:, None]
        shorter = tf.gather(moves.fallback, here)
        following = tf.gather(moves.following, shorter)
        taken_back = tf.gather(moves.pending, shorter) - tf.gather(moves.pending, here)
        added = tf.gather(moves.added, shorter) + taken_back[:, None]

        goes_on = length < ends
        symbol = tf.where(goes_on, symbols[:, tf.minimum(length, longest - 1)], 0)
        ends_word = symbol == BOUNDARY
        child = state(tf.minimum(length + 1, longest))
        # Those that do not go on write to a row more.
        row = tf.where(goes_on, tf.gather(first, length), phrases)
        at = tf.stack([row, symbol], axis=1)
        fallback = tf.gather_nd(moves.following, tf.stack([shorter, symbol], axis=1))
        fallback = tf.where(here == START, INSIDE, fallback)

        def updated(rows: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            rows = tf.pad(rows, [[0, 1], [0, 0]])
            return tf.tensor_scatter_nd_update(rows, at, values)[:-1]

        following = updated(following, child)
        added = updated(added, tf.where(ends_word, 0.0, score))
        moves = moves._replace(
            following=tf.tensor_scatter_nd_update(moves.following, places, following),
            added=tf.tensor_scatter_nd_update(moves.added, places, added),
        )

        pending = tf.gather(moves.pending, here)
        complete = tf.where(length + 1 == ends, _tokens(symbols, ends, score), 0.0)
        # Of phrases that are alike so far, some may end here.
        alike = tf.gather(first, tf.minimum(length + 1, longest))
        complete = tf.gather(tf.math.unsorted_segment_max(complete, alike, phrases), alike)
        earned = tf.maximum(complete, tf.gather(moves.earned, fallback))
        earned = tf.where(ends_word, earned, 0.0)
        pending = tf.where(ends_word, tf.maximum(0.0, pending - earned), pending + score)
        where = tf.where(goes_on, child, states)[:, None]

        def noted(column: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            return tf.tensor_scatter_nd_update(tf.pad(column, [[0, 1]]), where, values)[:-1]

        return length + 1, moves._replace(
            pending=noted(moves.pending, pending),
            earned=noted(moves.earned, earned),
            fallback=noted(moves.fallback, fallback),
        )

    nothing = tf.zeros([states])
    inside = tf.cast(nothing, tf.int32)
    following = tf.zeros([states, vocab], tf.int32)
    start = _Moves(
        tf.tensor_scatter_nd_update(following, [[INSIDE, BOUNDARY]], [START]),
        tf.zeros([states, vocab]),
        nothing,
        nothing,
        inside,
    )
    _, moves = tf.while_loop(
        lambda length, moves: length <= longest, level, (tf.constant(0), start)
    )
    return moves


def _first_alike(symbols: tf.Tensor) -> tf.Tensor:
    """int32 [length + 1, phrases]: of each beginning, the first phrase that begins so."""
    same = tf.cast(symbols[:, None] == symbols[None], tf.int32)
    alike = tf.pad(tf.math.cumprod(same, axis=2), [[0, 0], [0, 0], [1, 0]], constant_values=1)
    return tf.transpose(tf.argmax(alike, axis=1, output_type=tf.int32))


def _tokens(symbols: tf.Tensor, ends: tf.Tensor, score: tf.Tensor) -> tf.Tensor:
    """float32 [phrases], the bonus of each whole phrase."""
    words = tf.sequence_mask(ends, tf.shape(symbols)[1]) & (symbols != BOUNDARY)
    return score * tf.reduce_sum(tf.cast(words, tf.float32), axis=1)
