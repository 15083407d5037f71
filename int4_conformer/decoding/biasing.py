"""A phrase automaton, asked in graph."""

import tensorflow as tf

from int4_conformer.search.phrase_automaton import PhraseAutomaton


class PhraseBias(PhraseAutomaton):
    """A `decoding.beam.Bias` that prefers the phrases of a list (`search.phrase_automaton`)."""

    def scores(self, states: tf.Tensor) -> tf.Tensor:
        """What each token adds: int32 [rows] -> float32 [rows, vocab]."""
        return tf.gather(tf.constant(self.added), states)

    def advance(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The states after labels, each int32 [rows]; the blank changes nothing."""
        vocab = self.following.shape[1]
        return tf.gather(tf.constant(self.following.ravel()), states * vocab + labels)

    def final(self, states: tf.Tensor) -> tf.Tensor:
        """What the end of the utterance adds: int32 [rows] -> float32 [rows]."""
        return tf.gather(tf.constant(self.ended), states)
