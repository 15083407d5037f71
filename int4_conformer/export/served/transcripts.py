"""Words of tokens, in graph: what `lite.words` and `text.vocabulary` do, for a batch."""

import numpy as np
import tensorflow as tf

from int4_conformer import interface
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import WORD_BOUNDARY, Vocabulary


class Transcriber:
    """Spells tokens.

    Args:
        vocabulary: what they mean.
        frame_seconds: from one encoder frame to the next.

    Raises:
        UserError: a piece of the vocabulary holds a space elsewhere than at its beginning.
    """

    def __init__(self, vocabulary: Vocabulary, frame_seconds: float):
        spaced = [piece.replace(WORD_BOUNDARY, " ") for piece in ("", *vocabulary.pieces[1:])]
        parts = [piece.lstrip() for piece in spaced]
        for piece, part in zip(vocabulary.pieces, parts, strict=True):
            if len(part.split(maxsplit=1)) > 1 or part != part.rstrip():
                raise UserError(
                    "A SavedModel spells words of pieces that have a space at their beginning at "
                    f"most. Received: the piece {piece!r}"
                )
        self._frame_seconds = frame_seconds
        self._spaced = tf.constant(spaced)
        self._parts = tf.constant(parts)
        self._begins = tf.constant(
            np.array([x != part for x, part in zip(spaced, parts, strict=True)], np.int32)
        )

    def continued(self, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """What tokens add to a text, spaces included: whoever joins such texts drops the first.

        Args:
            ids: int32 [..., capacity].
            count: int32 [...], how many there are.

        Returns:
            string [...].
        """
        return tf.strings.reduce_join(_of_tokens(self._spaced, ids, count), axis=-1)

    def text(self, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """The whole text of tokens; arguments and result as `continued`."""
        text = self.continued(ids, count)
        return tf.strings.strip(tf.strings.regex_replace(text, r"\s+", " "))

    def __call__(self, found: Tokens, seconds: tf.Tensor) -> dict[str, tf.Tensor]:
        """The text, and its words with times and confidences, as a signature gives them.

        Args:
            found: of whole utterances.
            seconds: float32 [batch], how long they are: no word outlasts them.
        """
        batch, capacity = tf.unstack(tf.shape(found.ids))
        real = tf.sequence_mask(found.count, capacity)
        parts = _of_tokens(self._parts, found.ids, found.count)
        says = real & (parts != "")
        # Tokens that say something are of one word if as many boundaries came before them or in
        # them; not after every boundary there is a word.
        begun = tf.cumsum(tf.where(real, tf.gather(self._begins, found.ids), 0), axis=1)
        rows = tf.range(batch)[:, None]
        there = tf.math.unsorted_segment_sum(
            tf.cast(says, tf.int32), rows * (capacity + 1) + begun, batch * (capacity + 1)
        )
        there = tf.minimum(tf.reshape(there, [batch, capacity + 1]), 1)
        number = tf.gather(tf.cumsum(there, axis=1) - 1, begun, batch_dims=1)
        count = tf.reduce_sum(there, axis=1)
        most = tf.reduce_max(count)
        # All others go to a word more, which is dropped.
        number = tf.where(says, number, most) + rows * (most + 1)

        def of_words(segment, values: tf.Tensor) -> tf.Tensor:
            flat = segment(tf.reshape(values, [-1]), tf.reshape(number, [-1]), batch * (most + 1))
            return tf.reshape(flat, [batch, most + 1])[:, :most]

        words = of_words(tf.strings.unsorted_segment_join, parts)
        there = tf.sequence_mask(count, most)
        latest = seconds[:, None]

        def time(frames: tf.Tensor) -> tf.Tensor:
            times = tf.minimum(tf.cast(frames, tf.float32) * self._frame_seconds, latest)
            return tf.where(there, times, 0.0)

        log_probs = of_words(tf.math.unsorted_segment_mean, found.log_probs)
        return {
            interface.TEXT: tf.strings.strip(tf.strings.reduce_join(words, axis=1, separator=" ")),
            interface.WORDS: words,
            interface.WORD_COUNT: count,
            interface.STARTS: time(of_words(tf.math.unsorted_segment_min, found.frames)),
            interface.ENDS: time(of_words(tf.math.unsorted_segment_max, found.frames) + 1),
            interface.CONFIDENCES: tf.where(there, tf.exp(log_probs), 0.0),
        }


def _of_tokens(pieces: tf.Tensor, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """string [..., capacity]: the piece of each token, "" past the end."""
    real = tf.sequence_mask(count, tf.shape(ids)[-1])
    return tf.where(real, tf.gather(pieces, ids), "")
