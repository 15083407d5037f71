"""What a transducer's training minimises."""

import dataclasses

from int4_conformer.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Settings of the loss of a transducer of one or two passes."""

    # Share of the first of two passes in the loss (the patent, cascaded encoders).
    first_pass_weight: float = 0.5
    # Whether each step trains one pass, drawn with that share as its probability, and not both.
    sample_passes: bool = False
    # Lambda of FastEmit (arXiv 2010.11148): makes labels come earlier, at some cost in accuracy; in
    # practice 0.001 to 0.01. It changes gradients and not the loss that is reported.
    fast_emit: float = 0.0
    # Share of each label's score that goes to all symbols but the blank alike (`losses.emission`).
    label_smoothing: float = 0.0
    # Weight of the CTC loss of each encoder's frames, added to the transducer's of that pass. Above
    # 0 each encoder has a CTC head for it, which is not exported.
    ctc_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.first_pass_weight <= 1:
            raise UserError(
                "`first_pass_weight` must be in [0, 1]. Received: "
                f"first_pass_weight={self.first_pass_weight}"
            )
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                "`label_smoothing` must be in [0, 1). Received: "
                f"label_smoothing={self.label_smoothing}"
            )
        for name in ("fast_emit", "ctc_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(
                    f"`{name}` must not be negative. Received: {name}={getattr(self, name)}"
                )
