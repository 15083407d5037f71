"""Beam search in NumPy, one utterance at a time.

What it does is described in `decoding/beam.py`, which does it in a graph: hypotheses look at the
same frame; in a round, each one that is not done with the frame offers its successors, by the blank
or by a label; the best of all are the next beam. Hypotheses with the same labels become one, and
one place is reserved for the path of greedy search. Here, only what a round needs is asked of the
model, and frames that hypotheses are likely to come to are asked about in advance.

An utterance may come in segments, as from a microphone: `advance` goes on where it stopped, and
`commit` takes out the tokens that all hypotheses share.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.scorer import NOTHING, Bias, LanguageModel

_BLANK = 0
_ALL = 2**64 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """A token as a search emitted it."""

    id: int
    # Encoder frame, from the start of the utterance.
    frame: int
    # Logarithm of its probability among all symbols and the blank.
    log_prob: float


@dataclasses.dataclass(eq=False)
class Prediction:
    """What the prediction network says after some labels."""

    # float32 [dim].
    output: np.ndarray
    # The network's state, to go on from.
    state: dict[str, np.ndarray]
    # Log-probabilities of frames of the segment from a number on, float64 [frames, vocab].
    first_frame: int = 0
    log_probs: np.ndarray | None = None


class Network(Protocol):
    """The prediction and joint networks of a recogniser."""

    # How many pairs of a frame and a prediction it computes at once.
    rows: int

    def predict(
        self, labels: Sequence[int], before: Sequence[Prediction | None]
    ) -> list[Prediction]:
        """Predictions after one more label each; before the first label, 0, there is None."""

    def logits(self, frames: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """float32 [pairs, dim] and [pairs, dim] -> float32 [pairs, vocab]."""


@dataclasses.dataclass(eq=False, kw_only=True)
class Hypothesis:
    """What may have been said up to a frame."""

    # Tokens that are not committed.
    tokens: tuple[Token, ...] = ()
    # The model's log-probability of all tokens, over the alignments that the search has seen.
    log_prob: float = 0.0
    # What bias and language model have added.
    extra: float = 0.0
    # A hash of all labels.
    key: int = 0
    # Whether this is the path of greedy search.
    greedy: bool = False
    # States of bias and language model.
    bias: int = 0
    lm: int = 0
    # The last label, and what was predicted before it.
    label: int = _BLANK
    before: Prediction | None = None
    # What is predicted after it, once that was asked.
    prediction: Prediction | None = None

    @property
    def score(self) -> float:
        """By which hypotheses compete."""
        return self.log_prob + self.extra


# A beam: hypotheses, the best first.
Beam = list[Hypothesis]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Offer:
    """A successor of a hypothesis, by a symbol: done with the frame if that is the blank."""

    parent: Hypothesis
    symbol: int
    log_prob: float
    extra: float
    # What the symbol alone adds to the model's log-probability.
    step: float = 0.0
    greedy: bool = False

    @property
    def score(self) -> float:
        return self.log_prob + self.extra


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeSynchronousSearch:
    """A beam search in the frames of a transducer; the blank is 0.

    beam = search.start()
    for segment in segments:
        beam = search.advance(segment, beam, first_frame_of_segment)
    best = search.finish(beam)[0]
    """

    network: Network
    # Most labels emitted in one frame.
    max_symbols_per_frame: int
    config: BeamConfig
    bias: Bias | None = None
    lm: LanguageModel | None = None

    def start(self) -> Beam:
        """A beam of one hypothesis without labels."""
        return [
            Hypothesis(
                greedy=True,
                bias=0 if self.bias is None else self.bias.start,
                lm=0 if self.lm is None else self.lm.start,
            )
        ]

    def advance(self, frames: np.ndarray, beam: Beam, first: int = 0) -> Beam:
        """Follows a beam through frames.

        Args:
            frames: float32 [time, dim], of the encoder.
            beam: before the first frame.
            first: number of the first frame, from the start of the utterance.
        """
        for hypothesis in beam:
            if hypothesis.prediction is not None:
                hypothesis.prediction.log_probs = None
        for time in range(len(frames)):
            done: Beam = []
            active, emitted = beam, 0
            while active:
                offers = self._offers(frames, time, active, emitted < self.max_symbols_per_frame)
                chosen = self._best([_stay(hypothesis) for hypothesis in done], offers)
                successors = [self._successor(offer, first + time) for offer in chosen]
                done = [s for s, o in zip(successors, chosen, strict=True) if o.symbol == _BLANK]
                active = [s for s, o in zip(successors, chosen, strict=True) if o.symbol != _BLANK]
                emitted += 1
            beam = done
        return sorted(beam, key=lambda hypothesis: -hypothesis.score)

    def finish(self, beam: Beam) -> list[Hypothesis]:
        """The best hypotheses at the end of an utterance, the best first; none may be possible."""
        ended = []
        for hypothesis in beam:
            added = 0.0 if self.bias is None else self.bias.final(hypothesis.bias)
            if self.lm is not None:
                added += self.config.lm_weight * self.lm.final(hypothesis.lm)
            ended.append(dataclasses.replace(hypothesis, extra=hypothesis.extra + added))
        ended = [hypothesis for hypothesis in ended if hypothesis.score > NOTHING / 2]
        return sorted(ended, key=lambda hypothesis: -hypothesis.score)[: self.config.n_best]

    def _offers(
        self, frames: np.ndarray, time: int, active: Beam, may_emit: bool
    ) -> list[list[_Offer]]:
        """What may follow each hypothesis in a frame: the blank, then labels."""
        log_probs = self._log_probs(frames, time, active)
        fused = log_probs
        if self.bias is not None:
            added = self.bias.scores(np.array([hypothesis.bias for hypothesis in active]))
            fused = log_probs + added
        count = self.config.beam_size
        if self.lm is not None:
            count = max(count, self.config.lm_candidates)
        labels = _largest(fused[:, 1:], min(count, fused.shape[1] - 1)) + 1
        offers = []
        for row, hypothesis in enumerate(active):
            extra = np.zeros(labels.shape[1])
            if self.bias is not None:
                extra += added[row, labels[row]]
            if self.lm is not None:
                extra += self.config.insertion_bonus
                extra += self.config.lm_weight * self.lm.scores(hypothesis.lm, labels[row])
            steps = log_probs[row, labels[row]]
            values = steps + extra
            best = int(np.argmax(values))
            # As argmax has it: the blank, which comes first, unless a label is likelier.
            emits = hypothesis.greedy and may_emit and values[best] > log_probs[row, _BLANK]
            of_row = [_offer(hypothesis, _BLANK, log_probs[row, _BLANK], 0.0, not emits)]
            if may_emit:
                of_row += [
                    _offer(hypothesis, label, step, more, emits and place == best)
                    for place, (label, step, more) in enumerate(
                        zip(labels[row].tolist(), steps.tolist(), extra.tolist(), strict=True)
                    )
                ]
            offers.append(of_row)
        return offers

    def _best(self, done: list[_Offer], offers: list[list[_Offer]]) -> list[_Offer]:
        """The best offers; of two that are done with the same labels, the likelier has both."""
        places = {offer.parent.key: place for place, offer in enumerate(done)}
        flat = []
        for blank, *labels in offers:
            place = places.get(blank.parent.key)
            if place is not None:
                other = done[place]
                wins = blank.log_prob > other.log_prob
                both = dataclasses.replace(
                    blank if wins else other,
                    log_prob=float(np.logaddexp(blank.log_prob, other.log_prob)),
                    greedy=blank.greedy or other.greedy,
                )
                if not wins:
                    done[place] = both
                    flat += labels
                    continue
                del places[blank.parent.key]
                done[place] = dataclasses.replace(other, log_prob=NOTHING, greedy=False)
                blank = both
            flat += [blank, *labels]
        offered = [*done, *flat]
        best = max(offer.score for offer in offered)
        least = best - self.config.threshold
        offered = [o for o in offered if o.greedy or (o.score >= least and o.score > NOTHING / 2)]
        offered.sort(key=lambda offer: (not offer.greedy, -offer.score))
        return offered[: self.config.beam_size]

    def _successor(self, offer: _Offer, frame: int) -> Hypothesis:
        """The hypothesis that an offer leads to."""
        parent = offer.parent
        kept = dataclasses.replace(
            parent, log_prob=offer.log_prob, extra=offer.extra, greedy=offer.greedy
        )
        if offer.symbol == _BLANK:
            return kept
        label = offer.symbol
        return dataclasses.replace(
            kept,
            tokens=(*parent.tokens, Token(id=label, frame=frame, log_prob=offer.step)),
            key=_extend(parent.key, label),
            bias=0 if self.bias is None else self.bias.advance(parent.bias, label),
            lm=0 if self.lm is None else self.lm.advance(parent.lm, label),
            label=label,
            before=parent.prediction,
            prediction=None,
        )

    def _log_probs(self, frames: np.ndarray, time: int, active: Beam) -> np.ndarray:
        """Log-probabilities of all symbols after each hypothesis, float64 [hypotheses, vocab]."""
        unknown = [hypothesis for hypothesis in active if hypothesis.prediction is None]
        if unknown:
            predictions = self.network.predict(
                [hypothesis.label for hypothesis in unknown],
                [hypothesis.before for hypothesis in unknown],
            )
            for hypothesis, prediction in zip(unknown, predictions, strict=True):
                hypothesis.prediction = prediction
        missing = [h.prediction for h in active if not _knows(h.prediction, time)]
        if missing:
            # The rows of a call that are left hear the frames that follow.
            ahead = max(1, self.network.rows // len(missing))
            following = frames[time : time + ahead]
            pairs = np.concatenate([following] * len(missing))
            outputs = np.array([p.output for p in missing]).repeat(len(following), axis=0)
            scores = _log_softmax(self.network.logits(pairs, outputs))
            for place, prediction in enumerate(missing):
                part = scores[place * len(following) : (place + 1) * len(following)]
                prediction.first_frame, prediction.log_probs = time, part
        known = (hypothesis.prediction for hypothesis in active)
        return np.array([p.log_probs[time - p.first_frame] for p in known])


def commit(beam: Beam, room: int) -> tuple[list[Token], Beam]:
    """Takes out the tokens that all hypotheses share.

    Whatever is heard later, every text of the search begins with them. A hypothesis keeps back
    `room` tokens at most: where the best one has more, its first ones are committed, and hypotheses
    that begin otherwise are dropped.

    Args:
        beam: the best first.
        room: most tokens of a hypothesis that wait.

    Returns:
        the committed tokens, as the best hypothesis has them, and what is left.
    """
    best = beam[0]
    shared = [
        _shared_length([token.id for token in best.tokens], [token.id for token in other.tokens])
        for other in beam
    ]
    count = max(min(shared), len(best.tokens) - room)
    left = [
        dataclasses.replace(hypothesis, tokens=hypothesis.tokens[count:])
        for hypothesis, same in zip(beam, shared, strict=True)
        if same >= count and len(hypothesis.tokens) - count <= room
    ]
    if not any(hypothesis.greedy for hypothesis in left):
        # The best hypothesis takes the reserved place where its own is dropped.
        left[0] = dataclasses.replace(left[0], greedy=True)
    return list(best.tokens[:count]), left


def _shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _stay(hypothesis: Hypothesis) -> _Offer:
    """The only offer of a hypothesis that is done with the frame."""
    return _Offer(
        parent=hypothesis,
        symbol=_BLANK,
        log_prob=hypothesis.log_prob,
        extra=hypothesis.extra,
        greedy=hypothesis.greedy,
    )


def _offer(parent: Hypothesis, symbol: int, step: float, extra: float, is_greedy: bool) -> _Offer:
    return _Offer(
        parent=parent,
        symbol=symbol,
        log_prob=parent.log_prob + float(step),
        extra=parent.extra + extra,
        step=float(step),
        greedy=parent.greedy and is_greedy,
    )


def _knows(prediction: Prediction, time: int) -> bool:
    return prediction.log_probs is not None and (
        0 <= time - prediction.first_frame < len(prediction.log_probs)
    )


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values of each row, the largest first."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    places.sort(axis=1)
    rows = np.arange(len(values))[:, None]
    return places[rows, np.argsort(-values[rows, places], axis=1, kind="stable")]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    # In float64, so that no two logits become equals.
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _extend(key: int, label: int) -> int:
    """The hash of one more label, as `decoding/beam.py` has it: splitmix64 over a sum."""
    key = (key * 0x9E3779B97F4A7C15 + label) & _ALL
    key = ((key ^ key >> 30) * 0xBF58476D1CE4E5B9) & _ALL
    key = ((key ^ key >> 27) * 0x94D049BB133111EB) & _ALL
    return key ^ key >> 31
