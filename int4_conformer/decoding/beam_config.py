"""Settings of searches; plain Python, so that commands know them without TensorFlow."""

import dataclasses
import math

from int4_conformer.errors import UserError

# Bonus for each token of a preferred phrase, in nats.
BIAS_SCORE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """How wide to search, and what else to ask than the model."""

    # Hypotheses of an utterance; 1 is greedy search.
    beam_size: int = 8
    # Hypotheses that are returned, the best first.
    n_best: int = 1
    # Hypotheses that are so much less probable than the best are dropped, in nats; infinite keeps
    # all that the beam holds. Fewer hypotheses take fewer rounds.
    threshold: float = 12.0
    # Whether hypotheses are ranked in the end by the sum over all their alignments, also over those
    # that the search dropped. Then no best hypothesis is below greedy search's.
    full_sum: bool = False
    # Factor of the language model's log-probabilities.
    lm_weight: float = 0.3
    # Labels of each hypothesis that the language model is asked about, the likeliest by the model
    # and the biases, at least `beam_size`; other labels do not follow.
    lm_candidates: int = 16
    # Added for each label when there is a language model, which by itself prefers short texts.
    insertion_bonus: float = 0.0

    def __post_init__(self) -> None:
        for field in ("beam_size", "n_best", "lm_candidates"):
            if getattr(self, field) < 1:
                raise UserError(
                    f"`{field}` must be at least 1. Received: {field}={getattr(self, field)}"
                )
        if self.n_best > self.beam_size:
            raise UserError(
                "A beam returns no more hypotheses than it holds. Received: "
                f"n_best={self.n_best}, beam_size={self.beam_size}"
            )
        if not self.threshold > 0:
            raise UserError(f"`threshold` must be positive. Received: threshold={self.threshold}")
        if not (math.isfinite(self.lm_weight) and self.lm_weight >= 0):
            raise UserError(
                f"`lm_weight` must be finite and not negative. Received: {self.lm_weight}"
            )
        if not math.isfinite(self.insertion_bonus):
            raise UserError(f"`insertion_bonus` must be finite. Received: {self.insertion_bonus}")
