"""What a search may ask beside the model: phrases to prefer, a language model, a closed list."""

from typing import Protocol

import numpy as np

# The score of what cannot be; finite, so that differences of two are no NaN.
NOTHING = -1e30


class Bias(Protocol):
    """Prefers some labels after others (`PhraseScorer`), or allows no others (`ClosedList`)."""

    # State before the first label.
    start: int

    def scores(self, states: np.ndarray) -> np.ndarray:
        """What each label would add: int32 [rows] -> float32 [rows, vocab]."""

    def advance(self, state: int, label: int) -> int:
        """The state after a label."""

    def final(self, state: int) -> float:
        """What the end of the utterance adds."""


class LanguageModel(Protocol):
    """Knows how probable labels are after others (`NGramScorer`)."""

    # State before the first label.
    start: int

    def scores(self, state: int, labels: np.ndarray) -> np.ndarray:
        """Log-probabilities of labels int32 [labels]: float32 [labels]."""

    def advance(self, state: int, label: int) -> int:
        """The state after a label."""

    def final(self, state: int) -> float:
        """Log-probability of the end of the text."""
