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
    width: int = 8
    # Hypotheses that are returned, the best first.
    n_best: int = 1
    # Hypotheses that are so much less probable than the best are dropped, in nats; infinite keeps
    # all that the width holds. Fewer hypotheses take fewer rounds.
    threshold: float = 12.0
    # Whether hypotheses are ranked by the probability of all their alignments in the end, also of
    # those that the search dropped. Then no best hypothesis is below greedy search's.
    rescore: bool = False
    # Factor of the language model's log-probabilities.
    lm_weight: float = 0.3
    # Labels of each hypothesis that the language model is asked about, the likeliest by the model
    # and the biases, at least `width`; other labels do not follow.
    lm_candidates: int = 16
    # Added for each label when there is a language model, which by itself prefers short texts.
    label_bonus: float = 0.0

    def __post_init__(self) -> None:
        for field in ("width", "n_best", "lm_candidates"):
            if getattr(self, field) < 1:
                raise UserError(
                    f"`{field}` must be at least 1. Received: {field}={getattr(self, field)}"
                )
        if self.n_best > self.width:
            raise UserError(
                "A beam has no more hypotheses than it is wide. Received: "
                f"n_best={self.n_best}, width={self.width}"
            )
        if not self.threshold > 0:
            raise UserError(f"`threshold` must be positive. Received: threshold={self.threshold}")
        if not (math.isfinite(self.lm_weight) and self.lm_weight >= 0):
            raise UserError(
                f"`lm_weight` must be finite and not negative. Received: {self.lm_weight}"
            )
        if not math.isfinite(self.label_bonus):
            raise UserError(f"`label_bonus` must be finite. Received: {self.label_bonus}")
