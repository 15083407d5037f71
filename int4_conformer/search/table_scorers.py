"""Phrases and n-gram models as a search in NumPy asks them; `decoding` asks the same in a graph."""

import numpy as np

from int4_conformer.search.ngram_tables import NGramTables
from int4_conformer.search.phrase_automaton import PhraseAutomaton


class PhraseScorer(PhraseAutomaton):
    """A `search.scorer.Bias` that prefers the phrases of a list.

    Example:

        >>> from int4_conformer.text.graphemes import Graphemes
        >>> scorer = PhraseScorer.of(["ab"], Graphemes(charset=" ab"), 0.5)
        >>> scorer.scores(np.array([scorer.start]))
        array([[0. , 0. , 0.5, 0. ]], dtype=float32)
    """

    def scores(self, states: np.ndarray) -> np.ndarray:
        """What each token adds: int32 [rows] -> float32 [rows, vocab]."""
        return self.added[states]

    def advance(self, state: int, label: int) -> int:
        """The state after a label."""
        return int(self.following[state, label])

    def final(self, state: int) -> float:
        """What the end of the utterance adds."""
        return float(self.ended[state])


class NGramScorer(NGramTables):
    """A `search.scorer.LanguageModel`; log-probabilities are natural."""

    def scores(self, state: int, labels: np.ndarray) -> np.ndarray:
        """Log-probabilities of labels int32 [labels]: float32 [labels]."""
        return self._followed(state, labels)[0]

    def advance(self, state: int, label: int) -> int:
        """The state after a label."""
        return int(self._followed(state, np.array([label]))[1][0])

    def final(self, state: int) -> float:
        """Log-probability of the end of the text."""
        return float(self.ended[state])

    def _followed(self, state: int, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities float32, and following states, each [labels]."""
        states = np.full(labels.shape, state)
        found = np.zeros(labels.shape, bool)
        total = np.zeros(labels.shape, np.float32)
        for _ in range(self.order):
            keys = states.astype(np.int64) * self.vocab + labels
            places = np.minimum(np.searchsorted(self.arcs, keys), len(self.arcs) - 1)
            here = ~found & (self.arcs[places] == keys)
            step = np.where(here, self.log_probs[places], self.backoff[states])
            total = np.where(found, total, total + step)
            further = np.where(here, self.following[places], self.shorter[states])
            states = np.where(found, states, further)
            found |= here
            if found.all():
                break
        # The last of the histories is the empty one, which backs off to itself at no cost.
        return np.where(found, total, total + np.float32(self.unknown)), states
