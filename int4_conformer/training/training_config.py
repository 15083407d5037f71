"""How a recogniser is trained."""

import dataclasses
from typing import Any

from int4_conformer.errors import (
    require_at_least,
    require_in,
    require_not_negative,
    require_positive,
)
from int4_conformer.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the training loop; each is a flag of `int4-conformer train`."""

    steps: int = setting(10000, "Optimizer steps.")
    batch_seconds: float = setting(240.0, "Padded audio in a batch, in seconds, over all replicas.")
    buckets: int = setting(2, "Distinct batch shapes; XLA compiles the step once for each.")
    max_seconds: float = setting(20.0, "Utterances longer than this many seconds are left out.")
    learning_rate: float = setting(
        2e-3,
        "Highest learning rate, reached after the warm-up; a cosine takes it down to a hundredth.",
    )
    warmup: int = setting(500, "Steps until the highest learning rate.")
    weight_decay: float = setting(1e-3, "AdamW's decoupled decay of all weights.")
    clip_norm: float = setting(
        5.0, "Norm to which the gradient of all weights together is clipped."
    )
    average: int = setting(
        0,
        "Half-life of the weights' running average, in steps, which is what is evaluated and "
        "exported; 0 takes the weights as they are.",
    )
    spec_augment: bool = setting(True, "Whether SpecAugment masks the features at random.")
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
        0.0, "Share of each label's score that goes to all symbols but the blank alike."
    )
    ctc_weight: float = setting(
        0.0,
        "Weight of the CTC loss of each encoder's frames, added to the transducer's of that pass. "
        "Above 0 each encoder has a CTC head for it, which is not exported.",
    )
    evaluate_every: int = setting(
        1000, "Steps between evaluations on the dev set, each with a checkpoint."
    )
    xla: bool = setting(
        True,
        "Whether XLA compiles the step. Without it, oneDNN multiplies where that is faster: on a "
        "CPU, for wide models with a backward pass in bfloat16.",
    )
    seed: int = setting(0, "Seed of weights, order and masks.")

    def __post_init__(self) -> None:
        require_at_least(
            1, steps=self.steps, buckets=self.buckets, evaluate_every=self.evaluate_every
        )
        require_positive(
            batch_seconds=self.batch_seconds,
            max_seconds=self.max_seconds,
            learning_rate=self.learning_rate,
            clip_norm=self.clip_norm,
        )
        require_in("[0, 1]", first_pass_weight=self.first_pass_weight)
        require_in("[0, 1)", label_smoothing=self.label_smoothing)
        require_not_negative(
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            average=self.average,
            fast_emit=self.fast_emit,
            ctc_weight=self.ctc_weight,
        )

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)
