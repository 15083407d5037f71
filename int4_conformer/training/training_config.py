"""How a recogniser is trained."""

import dataclasses
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.losses.loss_config import LossConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the training loop."""

    # Optimizer steps.
    steps: int = 10000
    # Padded audio in a batch, in seconds, over all replicas.
    batch_seconds: float = 240.0
    # Distinct batch shapes; XLA compiles the step once for each.
    buckets: int = 2
    # Utterances longer than this many seconds are left out.
    max_seconds: float = 20.0
    # Highest learning rate, reached after `warmup` steps; a cosine takes it down to a hundredth.
    learning_rate: float = 2e-3
    warmup: int = 500
    # AdamW's decoupled decay of all weights.
    weight_decay: float = 1e-3
    # Norm to which the gradient of all weights together is clipped.
    clip_norm: float = 5.0
    # Half-life of the weights' running average, in steps, which is what is evaluated and exported;
    # 0 takes the weights as they are.
    average: int = 0
    # Whether SpecAugment masks the features.
    spec_augment: bool = True
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
    # Steps between evaluations on the dev set, each with a checkpoint.
    evaluate_every: int = 1000
    # Whether XLA compiles the step. Without it, oneDNN multiplies where that is faster: on a CPU,
    # for wide models with a backward pass in bfloat16 (benchmarks/train_step.py).
    xla: bool = True
    # Seed of weights, order and masks.
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "buckets", "evaluate_every"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}"
                )
        for name in ("batch_seconds", "max_seconds", "learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise UserError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
                )
        # It checks what it is given.
        _ = self.loss
        for name in ("warmup", "weight_decay", "average"):
            if not getattr(self, name) >= 0:
                raise UserError(
                    f"`{name}` must not be negative. Received: {name}={getattr(self, name)}"
                )

    @property
    def loss(self) -> LossConfig:
        """What is minimised."""
        names = [field.name for field in dataclasses.fields(LossConfig)]
        return LossConfig(**{name: getattr(self, name) for name in names})

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)
