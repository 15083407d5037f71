"""How a recogniser is trained."""

import dataclasses
from typing import Any

from int4_conformer.errors import (
    require_at_least,
    require_not_negative,
    require_positive,
)
from int4_conformer.fields import setting
from int4_conformer.losses.loss_config import LossConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(LossConfig):
    """Settings of the training loop, those of the loss among them; each is a flag of
    `int4-conformer train`."""

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
    skip_norm: float = setting(
        100.0,
        "A step is skipped, like one whose loss is not finite, if its gradient has more than this "
        "many times the usual norm; 0: never for that.",
    )
    average: int = setting(
        0,
        "Half-life of the weights' running average, in steps, which is what is evaluated and "
        "exported; 0 takes the weights as they are.",
    )
    spec_augment: bool = setting(True, "Whether SpecAugment masks the features at random.")
    evaluate_every: int = setting(
        1000, "Steps between evaluations on the dev set, each with a checkpoint."
    )
    checkpoint_minutes: float = setting(
        5.0, "Minutes between checkpoints that a stopped run goes on from."
    )
    log_every: int = setting(10, "Steps between points of the curves in TensorBoard.")
    profile: int = setting(0, "Steps to profile for TensorBoard, from the tenth after the start.")
    xla: bool = setting(
        True,
        "Whether XLA compiles the step. Without it, oneDNN multiplies where that is faster: on a "
        "CPU, for wide models with a backward pass in bfloat16.",
    )
    seed: int = setting(0, "Seed of weights, order and masks.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(
            1,
            steps=self.steps,
            buckets=self.buckets,
            evaluate_every=self.evaluate_every,
            log_every=self.log_every,
        )
        require_positive(
            batch_seconds=self.batch_seconds,
            max_seconds=self.max_seconds,
            learning_rate=self.learning_rate,
            clip_norm=self.clip_norm,
            checkpoint_minutes=self.checkpoint_minutes,
        )
        require_not_negative(
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            average=self.average,
            skip_norm=self.skip_norm,
            profile=self.profile,
        )

    @property
    def loss(self) -> LossConfig:
        """Those of the loss alone."""
        names = [field.name for field in dataclasses.fields(LossConfig)]
        return LossConfig(**{name: getattr(self, name) for name in names})

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TrainingConfig":
        """Inverse of `to_config`; what earlier versions did not know has its default."""
        return cls(**config)
