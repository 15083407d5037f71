"""Prediction and joint network of one pass: what turns encoder frames into labels."""

from typing import Any

import tensorflow as tf

from int4_conformer.decoding.beam import (
    NOTHING,
    Beam,
    BeamSearch,
    Bias,
    LanguageModel,
    NBest,
)
from int4_conformer.decoding.greedy import Hypothesis, Tokens, greedy_search
from int4_conformer.decoding.rounds import Paths
from int4_conformer.models.joint import Joint
from int4_conformer.models.predictors.predictor import Predictor
from int4_conformer.search.beam_config import BeamConfig


class TransducerDecoder:
    """The decoder of a pass of a `Transducer`, whose layers it uses and does not own.

    Args:
        predictor: prediction network.
        joint: joint network.
        max_symbols_per_frame: most labels that a search emits in one encoder frame.
        blank_penalty: what searches take off the blank's logit.

    Example:

        >>> decoder = model.decoders[-1]
        >>> encoded = model.encode(pcm)[-1]
        >>> tokens, _ = decoder.greedy(encoded, None, decoder.initial_hypothesis(len(pcm)))
    """

    def __init__(
        self,
        predictor: Predictor,
        joint: Joint,
        *,
        max_symbols_per_frame: int,
        blank_penalty: float = 0.0,
    ):
        self.predictor = predictor
        self.joint = joint
        self._max_symbols_per_frame = max_symbols_per_frame
        self._blank_penalty = blank_penalty

    def logits(self, encoded: tf.Tensor, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of the whole lattice.

        Args:
            encoded: float [batch, time, dim] of the pass.
            labels: int32 [batch, labels].
            training: whether dropout is on.

        Returns:
            float32 [batch, time, labels + 1, vocab].
        """
        predicted = self.predictor(labels, training=training)
        return self.joint(encoded, predicted, training=training)

    def loss(
        self,
        encoded: tf.Tensor,
        labels: tf.Tensor,
        encoded_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
        training: bool = False,
        **options: Any,
    ) -> tf.Tensor:
        """Transducer loss: `rnnt_loss` of the `logits`, which do not exist all at once.

        Args:
            encoded: float [batch, time, dim] of the pass.
            labels: int32 [batch, labels].
            encoded_lengths: int32 [batch], real frames.
            label_lengths: int32 [batch], real labels.
            training: whether dropout is on.
            options: of `Joint.loss`, such as `fast_emit` and `label_smoothing`.

        Returns:
            float32 [batch].
        """
        predicted = self.predictor(labels, training=training)
        return self.joint.loss(
            encoded, predicted, labels, encoded_lengths, label_lengths, training, **options
        )

    def collapsed_lattice(
        self, encoded: tf.Tensor, labels: tf.Tensor, *lengths: tf.Tensor
    ) -> tf.Tensor:
        """What a student learns from; arguments as `loss`, result as
        `losses.collapsed_lattice`."""
        return self.joint.collapsed_lattice(encoded, self.predictor(labels), labels, *lengths)

    def search_logits(self, frames: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
        """What searches choose by: `Joint.logits`, less the penalty of the blank.

        Args:
            frames: float [..., dim], projected by the joint network.
            predicted: float [..., dim], broadcast against `frames`.

        Returns:
            float32 [..., vocab].
        """
        logits = self.joint.logits(frames, predicted)
        if not self._blank_penalty:
            return logits
        return logits - tf.one_hot(0, self.joint.vocab_size, self._blank_penalty)

    def initial_hypothesis(self, batch: int) -> Hypothesis:
        """What greedy search starts with: no label, and the prediction network's initial state."""
        return tf.zeros([batch], tf.int32), self.predictor.initial_state(batch)

    def greedy(
        self, encoded: tf.Tensor, lengths: tf.Tensor | None, start: Hypothesis
    ) -> tuple[Tokens, Hypothesis]:
        """`greedy_search` in the frames of an utterance, or of a segment of a stream.

        Args:
            encoded: float [batch, time, dim].
            lengths: int32 [batch], real frames; None if nothing is padding.
            start: from where the segment before went on.
        """
        return greedy_search(
            self.joint.project_frames(encoded),
            lengths,
            start=start,
            predict=self.predictor.advance_label,
            logits=self.search_logits,
            max_symbols_per_frame=self._max_symbols_per_frame,
        )

    def beam_searcher(
        self, config: BeamConfig, *, bias: Bias | None = None, lm: LanguageModel | None = None
    ) -> BeamSearch:
        """The beam search, whose frames are those that the joint network projects.

        Args:
            config: how wide to search.
            bias: phrases to prefer.
            lm: language model over the same tokens.
        """
        return BeamSearch(
            predict=self.predictor.advance_label,
            logits=self.search_logits,
            max_symbols_per_frame=self._max_symbols_per_frame,
            config=config,
            bias=bias,
            lm=lm,
        )

    def beam(
        self,
        encoded: tf.Tensor,
        lengths: tf.Tensor | None,
        config: BeamConfig,
        *,
        bias: Bias | None = None,
        lm: LanguageModel | None = None,
    ) -> NBest:
        """The likeliest hypotheses of utterances; arguments as `greedy` and `beam_searcher`."""
        search = self.beam_searcher(config, bias=bias, lm=lm)
        start = search.start(tf.shape(encoded)[0], self.predictor.initial_state)
        paths, beam = search(self.joint.project_frames(encoded), lengths, start)
        if config.full_sum:
            beam = self._with_full_sums(encoded, lengths, paths, beam)
        return search.best(paths, beam)

    def full_sum(
        self, encoded: tf.Tensor, lengths: tf.Tensor | None, labels: tf.Tensor, counts: tf.Tensor
    ) -> tf.Tensor:
        """Log-probabilities of hypotheses, summed over all their alignments.

        Args:
            encoded: float [batch, time, dim].
            lengths: int32 [batch], real frames; None if nothing is padding.
            labels: int32 [batch, hypotheses, labels].
            counts: int32 [batch, hypotheses], real labels.

        Returns:
            float32 [batch, hypotheses].
        """
        batch, width, capacity = labels.shape
        if lengths is None:
            lengths = tf.fill([batch], encoded.shape[1])
        loss = self.loss(
            tf.repeat(encoded, width, axis=0),
            tf.reshape(labels, [batch * width, capacity]),
            tf.repeat(lengths, width),
            tf.reshape(counts, [batch * width]),
        )
        return -tf.reshape(loss, [batch, width])

    def _with_full_sums(
        self, encoded: tf.Tensor, lengths: tf.Tensor | None, paths: Paths, beam: Beam
    ) -> Beam:
        scores = self.full_sum(encoded, lengths, paths.ids, paths.count)
        return beam._replace(log_prob=tf.where(beam.is_alive, scores, NOTHING))
