"""Settings of searches; plain Python, so that commands know them without TensorFlow."""

import dataclasses

from int4_conformer.errors import (
    UserError,
    require_at_least,
    require_finite,
    require_not_negative,
    require_positive,
)
from int4_conformer.fields import setting

# Bonus for each token of a preferred phrase, in nats.
BIAS_SCORE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """How wide to search, and what else to ask than the model."""

    beam_size: int = setting(8, "Hypotheses that the search keeps; 1 is greedy search.")
    n_best: int = setting(1, "Hypotheses that are returned, the best first.")
    threshold: float = setting(
        12.0,
        "Hypotheses that are less probable than the best by more than this, in nats, are dropped; "
        "infinite keeps all that the beam holds. Fewer hypotheses take fewer rounds.",
    )
    full_sum: bool = setting(
        False,
        "Whether hypotheses are ranked in the end by the sum over all their alignments, also over "
        "those that the search dropped. Then the best is never less probable than greedy search's.",
    )
    lm_weight: float = setting(0.3, "Factor of the language model's log-probabilities.")
    lm_candidates: int = setting(
        16,
        "How many labels may follow each hypothesis when a language model is asked: the likeliest "
        "by the model and the biases; at least `beam_size`.",
    )
    insertion_bonus: float = setting(
        0.0,
        "Added to the score for each label, in nats, when there is a language model, which by "
        "itself prefers short texts.",
    )

    def __post_init__(self) -> None:
        require_at_least(
            1, beam_size=self.beam_size, n_best=self.n_best, lm_candidates=self.lm_candidates
        )
        if self.n_best > self.beam_size:
            raise UserError(
                "A beam returns no more hypotheses than it holds. Received: "
                f"n_best={self.n_best}, beam_size={self.beam_size}"
            )
        require_positive(threshold=self.threshold)
        require_finite(lm_weight=self.lm_weight, insertion_bonus=self.insertion_bonus)
        require_not_negative(lm_weight=self.lm_weight)
