"""An n-gram language model over a recogniser's own tokens, asked in graph."""

import tensorflow as tf

from int4_conformer.search.ngram_tables import NGramTables


class NGram(NGramTables):
    """A `decoding.beam.LanguageModel` (`search.ngram_tables`); log-probabilities are natural."""

    def scores(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Log-probabilities of labels int32 [rows, labels] after states int32 [rows]."""
        states = tf.repeat(states, labels.shape[1])
        return tf.reshape(self._followed(states, tf.reshape(labels, [-1]))[0], tf.shape(labels))

    def advance(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The states after labels, each int32 [rows]."""
        return self._followed(states, labels)[1]

    def final(self, states: tf.Tensor) -> tf.Tensor:
        """Log-probabilities of the text's end: int32 [rows] -> float32 [rows]."""
        return tf.gather(tf.constant(self.ended), states)

    def _followed(self, states: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log-probability and following state, each [rows]."""
        arcs, following = tf.constant(self.arcs), tf.constant(self.following)
        log_probs, shorter = tf.constant(self.log_probs), tf.constant(self.shorter)
        backoff = tf.constant(self.backoff)
        found = tf.zeros_like(states, tf.bool)
        total = tf.zeros_like(states, tf.float32)
        for _ in range(self.order):
            key = tf.cast(states, tf.int64) * self.vocab + tf.cast(labels, tf.int64)
            place = tf.minimum(tf.searchsorted(arcs, key), len(self.arcs) - 1)
            here = ~found & (tf.gather(arcs, place) == key)
            step = tf.where(here, tf.gather(log_probs, place), tf.gather(backoff, states))
            total = tf.where(found, total, total + step)
            further = tf.where(here, tf.gather(following, place), tf.gather(shorter, states))
            states = tf.where(found, states, further)
            found |= here
        # The last of the histories is the empty one, which backs off to itself at no cost.
        return tf.where(found, total, total + self.unknown), states
