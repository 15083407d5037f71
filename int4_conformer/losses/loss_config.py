"""What a transducer's training minimises."""

import dataclasses

from int4_conformer.errors import require_in, require_not_negative
from int4_conformer.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Settings of the loss of a transducer of one or two passes."""

    first_pass_weight: float = setting(
        0.5, "Share of the first of two passes in the loss (the patent, cascaded encoders)."
    )
    sample_passes: bool = setting(
        False,
        "Whether each step trains one pass, drawn with `first_pass_weight` as the probability of "
        "the first, and not both.",
    )
    fast_emit: float = setting(
        0.0,
        "Lambda of FastEmit (arXiv 2010.11148): makes labels come earlier, at some cost in "
        "accuracy; in practice 0.001 to 0.01. It changes gradients and not the loss that is "
        "reported.",
    )
    label_smoothing: float = setting(
        0.0, "Share of each label's score that is spread evenly over all symbols but the blank."
    )
    ctc_weight: float = setting(
        0.0,
        "Weight of the CTC loss of each encoder's frames, added to the transducer's of that pass. "
        "Above 0 each encoder has a CTC head for it, which is not exported.",
    )
    distillation_weight: float = setting(
        0.5,
        "Share of the distance to a teacher's distributions in the loss, if there is a teacher "
        "(arXiv 2011.06110); the transducer's own has the rest.",
    )

    def __post_init__(self) -> None:
        require_in(
            "[0, 1]",
            first_pass_weight=self.first_pass_weight,
            distillation_weight=self.distillation_weight,
        )
        require_in("[0, 1)", label_smoothing=self.label_smoothing)
        require_not_negative(fast_emit=self.fast_emit, ctc_weight=self.ctc_weight)
