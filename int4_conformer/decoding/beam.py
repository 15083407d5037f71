"""Beam search, batched and in graph.

Time-synchronous: the hypotheses of an utterance look at the same frame. In a round, each one that
is not done with the frame offers its successors: by the blank, which is done with the frame, or by
a label. Hypotheses that are done stay as they are. The best of all of them are the next beam, and
the next frame comes once all are done; after `max_symbols_per_frame` labels only the blank is left.
So a beam of one takes the better of the blank and the best label again and again, which is greedy
search.

Hypotheses that are done and have the same labels become one, whose log-probability is that of
either: a hypothesis stands for all its alignments that the search has seen.

One place is reserved for the path that greedy search takes. Whatever the rest of the beam does, the
labels of greedy search are among the hypotheses, with at least the log-probability of greedy's one
alignment: no wider beam ends with a best hypothesis below it.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from int4_conformer.decoding.greedy import Tokens
from int4_conformer.decoding.rounds import Paths, Round, Rounds
from int4_conformer.layers.steppable import State, where_rows
from int4_conformer.search.beam_config import BeamConfig

# The score of no hypothesis; finite, so that differences of two are no NaN.
NOTHING = -1e30
# Above all scores.
_RESERVED = 1e30


class Bias(Protocol):
    """Prefers some labels after others (`decoding.biasing`). States are int32 [rows]."""

    # State before the first label.
    start: int

    def scores(self, states: tf.Tensor) -> tf.Tensor:
        """What each label would add: float32 [rows, vocab]."""

    def advance(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The states after labels int32 [rows]."""

    def final(self, states: tf.Tensor) -> tf.Tensor:
        """What the end of the utterance adds: float32 [rows]."""


class LanguageModel(Protocol):
    """Knows how probable labels are after others (`decoding.ngram`). States are int32 [rows]."""

    # State before the first label.
    start: int

    def scores(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Log-probabilities of labels int32 [rows, labels]: float32 [rows, labels]."""

    def advance(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The states after labels int32 [rows]."""

    def final(self, states: tf.Tensor) -> tf.Tensor:
        """Log-probabilities of the end of the text: float32 [rows]."""


class Beam(NamedTuple):
    """Hypotheses between two frames, the best first; all [batch, beam_size] unless said."""

    # int32, what the prediction network is fed next: the last label.
    label: tf.Tensor
    # The prediction network's before that label, each [batch * beam_size, ...].
    state: State
    # float32, the model's; that of no hypothesis is not above `NOTHING`.
    log_prob: tf.Tensor
    # float32, what biases and language model have added.
    extra: tf.Tensor
    # uint64, a hash of all labels.
    key: tf.Tensor
    # bool, whether this is the path of greedy search.
    greedy: tf.Tensor
    # int32, states of biases and language model.
    bias: tf.Tensor
    lm: tf.Tensor

    @property
    def score(self) -> tf.Tensor:
        """float32, by which hypotheses compete."""
        return self.log_prob + self.extra

    @property
    def is_alive(self) -> tf.Tensor:
        """bool, where there is a hypothesis."""
        return self.log_prob > NOTHING / 2


class NBest(NamedTuple):
    """The best hypotheses of utterances, the best first."""

    # As `Tokens` has them, with a dimension [n_best] after the batch.
    ids: tf.Tensor
    count: tf.Tensor
    frames: tf.Tensor
    log_probs: tf.Tensor
    # float32 [batch, n_best], by which they are ranked; -inf where there is no hypothesis.
    scores: tf.Tensor
    # float32 [batch, n_best], the model's part of the score: the logarithm of the probability of
    # all alignments that the search has seen or, with `full_sum`, of all that there are.
    model_scores: tf.Tensor

    @property
    def best(self) -> Tokens:
        """The best hypotheses alone."""
        return Tokens(*(x[:, 0] for x in self[:4]))


class _Turn(NamedTuple):
    """Where utterances are between two rounds."""

    # int32 [batch], the frame, and labels that hypotheses not done with it have emitted in it.
    time: tf.Tensor
    emitted: tf.Tensor
    # bool [batch, beam_size].
    done: tf.Tensor


class _Offers(NamedTuple):
    """Successors of a beam, first by the blank, then by labels: [batch, beam_size, 1 + labels]."""

    symbol: tf.Tensor
    log_prob: tf.Tensor
    extra: tf.Tensor
    # What the symbol alone adds to the model's log-probability.
    step: tf.Tensor
    # bool, true once in an utterance.
    greedy: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """A beam search in the frames of a transducer; the blank is 0.

    Frames may be a segment of a stream: segments, each started from what the one before returned,
    have the hypotheses of the whole.
    """

    # As `greedy_search`.
    predict: Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
    logits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    # Most labels emitted in one frame.
    max_symbols_per_frame: int
    config: BeamConfig
    bias: Bias | None = None
    lm: LanguageModel | None = None

    def start(self, batch: int, initial_state: Callable[[int], State]) -> Beam:
        """A beam of one hypothesis without labels; `initial_state` is the prediction network's."""
        beam_size = self.config.beam_size
        zeros = tf.zeros([batch, beam_size], tf.int32)
        first = tf.cumsum(zeros + 1, axis=1) == 1
        return Beam(
            label=zeros,
            state=initial_state(batch * beam_size),
            log_prob=tf.where(first, 0.0, NOTHING),
            extra=tf.zeros([batch, beam_size]),
            key=tf.cast(zeros, tf.uint64),
            greedy=first,
            bias=zeros + (0 if self.bias is None else self.bias.start),
            lm=zeros + (0 if self.lm is None else self.lm.start),
        )

    def __call__(
        self, frames: tf.Tensor, lengths: tf.Tensor | None, beam: Beam
    ) -> tuple[Paths, Beam]:
        """Follows a beam through frames.

        Args:
            frames: float [batch, time, dim], the joint network's view of the encoder.
            lengths: int32 [batch], or None if no frame is padding.
            beam: before the first frame.

        Returns:
            how each hypothesis came about in these frames, and the hypotheses.
        """
        time = tf.zeros_like(beam.label[:, 0])
        if lengths is None:
            lengths = time + tf.shape(frames)[1]
        turn = _Turn(time=time, emitted=time, done=~beam.is_alive | (time >= lengths)[:, None])
        capacity = tf.shape(frames)[1] if frames.shape[1] is None else frames.shape[1]
        rounds = Rounds.empty(beam.label, capacity * (self.max_symbols_per_frame + 1))

        def unfinished(turn: _Turn, beam: Beam, rounds: Rounds) -> tf.Tensor:
            return tf.reduce_any(turn.time < lengths)

        def advance(turn: _Turn, beam: Beam, rounds: Rounds) -> tuple[_Turn, Beam, Rounds]:
            successors, happened = self._round(frames, turn, beam)
            emitted = happened.symbol > 0
            # Hypotheses that there are not have nothing left to do.
            done = ~emitted | ~successors.is_alive
            ends = tf.reduce_all(done, axis=1) & (turn.time < lengths)
            following = turn.time + tf.cast(ends, tf.int32)
            goes_on = ends & (following < lengths)
            following = _Turn(
                time=following,
                emitted=tf.where(ends, 0, turn.emitted + 1),
                done=tf.where(goes_on[:, None], ~successors.is_alive, done),
            )
            return following, successors, rounds.add(happened)

        _, beam, rounds = tf.while_loop(unfinished, advance, (turn, beam, rounds))
        paths = rounds.paths(capacity * self.max_symbols_per_frame)
        order = tf.math.top_k(beam.score, self.config.beam_size).indices
        return paths.at(order), _select(beam, order)

    def best(self, paths: Paths, beam: Beam) -> NBest:
        """The best hypotheses at the end of utterances.

        Args:
            paths: of the whole utterances.
            beam: after their last frames.
        """
        beam = self.finish(beam)
        order = tf.math.top_k(beam.score, self.config.n_best).indices
        paths, beam = paths.at(order), _select(beam, order)
        scores, model_scores = (
            tf.where(beam.is_alive, x, -np.inf) for x in (beam.score, beam.log_prob)
        )
        return NBest(*paths[:4], scores, model_scores)

    def finish(self, beam: Beam) -> Beam:
        """The scores of hypotheses at the end of an utterance; their order stays."""
        added = tf.zeros_like(beam.extra)
        shape = tf.shape(added)
        if self.bias is not None:
            added += tf.reshape(self.bias.final(tf.reshape(beam.bias, [-1])), shape)
        if self.lm is not None:
            final = tf.reshape(self.lm.final(tf.reshape(beam.lm, [-1])), shape)
            added += self.config.lm_weight * final
        return beam._replace(extra=beam.extra + added)

    def _round(self, frames: tf.Tensor, turn: _Turn, beam: Beam) -> tuple[Beam, Round]:
        """The best successors of a beam."""
        beam_size = self.config.beam_size
        last = tf.shape(frames)[1] - 1
        frame = tf.gather(frames, tf.minimum(turn.time, last)[:, None], axis=1, batch_dims=1)
        frame = tf.repeat(frame[:, 0], beam_size, axis=0)
        prediction, after = self.predict(tf.reshape(beam.label, [-1]), beam.state)
        logits = tf.cast(self.logits(frame, prediction), tf.float32)
        offers = self._merged(beam, turn, self._offers(beam, turn, logits))

        score = offers.log_prob + offers.extra
        best = tf.reduce_max(score, axis=[1, 2], keepdims=True)
        score = tf.where(score < best - self.config.threshold, NOTHING, score)
        score = tf.where(offers.greedy, _RESERVED, score)
        # Of equals the first, which is the blank and then the likelier label.
        ranked, places = tf.math.top_k(_flat(score), beam_size)
        parent = places // score.shape[2]
        symbol = tf.gather(_flat(offers.symbol), places, batch_dims=1)
        log_prob = tf.gather(_flat(offers.log_prob), places, batch_dims=1)
        emits = symbol > 0
        old = _select(beam, parent)
        new_state = _rows(after, parent)
        successors = Beam(
            label=tf.where(emits, symbol, old.label),
            state=where_rows(tf.reshape(emits, [-1]), new_state, old.state),
            log_prob=tf.where(ranked > NOTHING / 2, log_prob, NOTHING),
            extra=tf.gather(_flat(offers.extra), places, batch_dims=1),
            key=tf.where(emits, _extend(old.key, symbol), old.key),
            greedy=tf.gather(_flat(offers.greedy), places, batch_dims=1),
            bias=_advanced(self.bias, old.bias, symbol),
            lm=_advanced(self.lm, old.lm, symbol),
        )
        happened = Round(
            parent=parent,
            symbol=tf.where(successors.is_alive, symbol, 0),
            log_prob=tf.gather(_flat(offers.step), places, batch_dims=1),
            time=turn.time,
        )
        return successors, happened

    def _offers(self, beam: Beam, turn: _Turn, logits: tf.Tensor) -> _Offers:
        """What may follow each hypothesis; of one that is done with the frame, itself alone."""
        batch_width = tf.shape(beam.label)
        vocab = logits.shape[1]
        # Sums with a row's constant could make equals of two logits that are not.
        fused, bias = logits, None
        if self.bias is not None:
            bias = self.bias.scores(tf.reshape(beam.bias, [-1]))
            fused += bias
        count = self.config.beam_size
        if self.lm is not None:
            count = max(count, self.config.lm_candidates)
        count = min(count, vocab - 1)
        values, labels = tf.math.top_k(fused[:, 1:], count)
        labels += 1
        norm = tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        step = tf.gather(logits, labels, batch_dims=1) - norm
        extra = tf.zeros_like(step)
        if bias is not None:
            extra += tf.gather(bias, labels, batch_dims=1)
        if self.lm is not None:
            lm = self.config.insertion_bonus + self.config.lm_weight * self.lm.scores(
                tf.reshape(beam.lm, [-1]), labels
            )
            extra += lm
            values += lm

        shape = tf.concat([batch_width, [count]], axis=0)
        labels, step, extra, values = (tf.reshape(x, shape) for x in (labels, step, extra, values))
        blank = tf.reshape(logits[:, :1], tf.concat([batch_width, [1]], axis=0))
        may_emit = ~turn.done & (turn.emitted < self.max_symbols_per_frame)[:, None]
        # As argmax has it: the blank, which comes first, unless a label is likelier.
        emits = beam.greedy & may_emit & (tf.reduce_max(values, axis=2) > blank[:, :, 0])
        is_best = tf.one_hot(tf.argmax(values, axis=2), count, on_value=True, off_value=False)
        blank_step = tf.where(turn.done, 0.0, (blank - tf.reshape(norm, tf.shape(blank)))[:, :, 0])
        step = tf.where(may_emit[:, :, None], step, NOTHING)

        def joined(blank: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return tf.concat([blank[:, :, None], labels], axis=2)

        step = joined(blank_step, step)
        return _Offers(
            symbol=joined(tf.zeros_like(beam.label), labels),
            log_prob=beam.log_prob[:, :, None] + step,
            extra=beam.extra[:, :, None] + joined(tf.zeros_like(beam.extra), extra),
            step=step,
            greedy=joined(beam.greedy & ~emits, emits[:, :, None] & is_best),
        )

    def _merged(self, beam: Beam, turn: _Turn, offers: _Offers) -> _Offers:
        """One offer in place of two that are done with the frame and have the same labels.

        There are never three: neither the hypotheses that are done nor those that are not have the
        same labels twice.
        """
        alive = beam.is_alive
        same = (
            (beam.key[:, :, None] == beam.key[:, None, :])
            & (turn.done[:, :, None] != turn.done[:, None, :])
            & (alive[:, :, None] & alive[:, None, :])
        )
        blank = offers.log_prob[:, :, 0]
        other = tf.reduce_max(tf.where(same, blank[:, None, :], NOTHING), axis=2)
        # Of equals the one that is done.
        stays = (blank > other) | ((blank == other) & turn.done) | ~tf.reduce_any(same, axis=2)
        both = tf.where(stays, _log_add(blank, other), NOTHING)
        greedy = offers.greedy[:, :, 0]
        greedy = stays & (greedy | tf.reduce_any(same & greedy[:, None, :], axis=2))
        return offers._replace(
            log_prob=tf.concat([both[:, :, None], offers.log_prob[:, :, 1:]], axis=2),
            greedy=tf.concat([greedy[:, :, None], offers.greedy[:, :, 1:]], axis=2),
        )


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(exp a + exp b)."""
    return tf.maximum(a, b) + tf.math.log1p(tf.exp(-tf.abs(a - b)))


def _flat(x: tf.Tensor) -> tf.Tensor:
    """[batch, beam_size, offers] -> [batch, beam_size * offers]."""
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2]])


def _extend(key: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The hash of one more label: splitmix64 (Steele et al., OOPSLA 2014) over a sum.

    With 64 bits, two of a beam's different hypotheses are taken for one about once in 10^17 rounds.
    """
    key = key * 0x9E3779B97F4A7C15 + tf.cast(label, tf.uint64)
    key = tf.bitwise.bitwise_xor(key, tf.bitwise.right_shift(key, _uint64(30, key)))
    key *= 0xBF58476D1CE4E5B9
    key = tf.bitwise.bitwise_xor(key, tf.bitwise.right_shift(key, _uint64(27, key)))
    key *= 0x94D049BB133111EB
    return tf.bitwise.bitwise_xor(key, tf.bitwise.right_shift(key, _uint64(31, key)))


def _uint64(value: int, like: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(like) + tf.constant(value, tf.uint64)


def _advanced(
    scorer: Bias | LanguageModel | None, states: tf.Tensor, symbols: tf.Tensor
) -> tf.Tensor:
    """States after the labels among symbols [batch, beam_size]; the blank changes nothing."""
    if scorer is None:
        return states
    after = scorer.advance(tf.reshape(states, [-1]), tf.reshape(symbols, [-1]))
    return tf.where(symbols > 0, tf.reshape(after, tf.shape(states)), states)


def _select(beam: Beam, places: tf.Tensor) -> Beam:
    """The hypotheses at places int32 [batch, beam_size]."""
    state = _rows(beam.state, places)
    chosen = [tf.gather(x, places, batch_dims=1) for x in beam._replace(state=beam.label)]
    return Beam(*chosen)._replace(state=state)


def _rows(state: State, places: tf.Tensor) -> State:
    """The rows of a state, [batch * beam_size, ...], at places int32 [batch, beam_size]."""
    beam_size = places.shape[1]
    starts = tf.cumsum(tf.zeros_like(places[:, :1]) + beam_size, axis=0, exclusive=True)
    rows = tf.reshape(starts + places, [-1])
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), state)
