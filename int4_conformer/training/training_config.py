"""How a recogniser is trained."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from int4_conformer.data.input_config import InputConfig
from int4_conformer.errors import (
    require_at_least,
    require_in,
    require_not_negative,
    require_one_of,
    require_positive,
)
from int4_conformer.fields import setting
from int4_conformer.losses.loss_config import LossConfig

Optimizer = Literal["adamw", "adafactor", "lion"]
ComputeDtype = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "linear", "constant", "transformer", "tri_stage"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(LossConfig, InputConfig):
    """Settings of the training loop, those of the loss and of the input among them; each is a flag
    of `int4-conformer train`."""

    steps: int = setting(10000, "Optimizer steps.")
    batch_seconds: float = setting(240.0, "Padded audio in a batch, in seconds, over all replicas.")
    accumulate: int = setting(
        1,
        "Parts of a batch whose gradients are computed one after the other and then averaged, for "
        "one update: what `batch_seconds` says, in the memory of a part.",
    )
    buckets: int = setting(2, "Distinct batch shapes; XLA compiles the step once for each.")
    max_seconds: float = setting(20.0, "Utterances longer than this many seconds are left out.")
    optimizer: Optimizer = setting(
        "adamw",
        "`adamw` (arXiv 1711.05101), `adafactor` (arXiv 1804.04235: less memory; its learning rate "
        "is relative to each weight's size, 10 to 30 times that of AdamW, and at most 1 divided by "
        "the root of the steps so far) or `lion` (arXiv 2302.06675: the least memory; a learning "
        "rate 3 to 10 times lower, a weight decay as many times higher).",
    )
    learning_rate: float = setting(2e-3, "Highest learning rate, reached after the warm-up.")
    schedule: Schedule = setting(
        "cosine",
        "How the learning rate goes on after the warm-up: `cosine` and `linear` take it down to a "
        "hundredth at the last step; `tri_stage` holds it for half of the steps, and takes it down "
        "exponentially (arXiv 1904.08779); `transformer` divides it by the root of the steps "
        "(arXiv 1706.03762); `constant` leaves it. The last two do not depend on `steps`.",
    )
    warmup: int = setting(500, "Steps until the highest learning rate.")
    weight_decay: float = setting(1e-3, "Decoupled decay of all weights.")
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
    quantize_after: float = setting(
        0.0,
        "Part of the steps that are taken in float before layers are quantized, such as 0.5. "
        "Evaluations compute in integers from the start, with the float weights quantized.",
    )
    stochastic_depth: float = setting(
        0.0,
        "Part of the utterances that the last block of each encoder is left out of, those before "
        "it in proportion (arXiv 1603.09382); for deep encoders, such as 0.1.",
    )
    variational_noise: float = setting(
        0.0,
        "Standard deviation of Gaussian noise on the matrices of the prediction network in each "
        "step, before they are quantized (arXiv 2005.08100); 0.01 to 0.1.",
    )
    variational_noise_after: float = setting(
        0.0, "Part of the steps that are taken before there is noise."
    )
    variational_noise_encoder: bool = setting(
        False, "Whether the encoder's matrices have the noise, too."
    )
    compute_dtype: ComputeDtype = setting(
        "float32",
        "Type in which the model computes what is not integers: `float32`, or `bfloat16` also for "
        "the products of the backward pass. Weights, sums and the loss stay in float32. It is "
        "faster where the device has such products.",
    )
    teacher: str = setting(
        "",
        "WORKDIR of a trained recogniser with the same vocabulary, float or quantized, that the "
        "training learns from (`distillation_weight`).",
    )
    noise_share: float = setting(
        0.0,
        "Part of the training utterances that are noise without a word, made here: silence, fans, "
        "hum, clicks and babble, so that the model says nothing of them; such as 0.05.",
    )
    other_speech: str = setting(
        "",
        "A corpus whose training splits (`train`, `train-clean-100`) are trained on without their "
        "words, so that a model for a few phrases says nothing of other speech.",
    )
    spec_augment: bool = setting(True, "Whether SpecAugment masks the features at random.")
    evaluate_every: int = setting(
        1000, "Steps between evaluations on the dev set, each with a checkpoint."
    )
    checkpoint_minutes: float = setting(
        5.0, "Minutes between checkpoints that a stopped run goes on from."
    )
    steps_per_loop: int = setting(
        1,
        "Steps that the device takes without asking the host; the curves, checkpoints by time and "
        "Ctrl-C wait for them. The steps themselves are the same. Such as 50 on a TPU or for small "
        "models on a GPU, where the host takes as long as a step.",
    )
    log_every: int = setting(10, "Steps between points of the curves in TensorBoard.")
    profile: int = setting(0, "Steps to profile for TensorBoard, from the tenth after the start.")
    xla: bool = setting(
        True,
        "Whether XLA compiles the step. Without it, oneDNN multiplies where that is faster: on a "
        "CPU, for wide models with a backward pass in bfloat16.",
    )

    def __post_init__(self) -> None:
        LossConfig.__post_init__(self)
        InputConfig.__post_init__(self)
        require_one_of(get_args(Optimizer), optimizer=self.optimizer)
        require_one_of(get_args(Schedule), schedule=self.schedule)
        require_one_of(get_args(ComputeDtype), compute_dtype=self.compute_dtype)
        require_at_least(
            1,
            steps=self.steps,
            accumulate=self.accumulate,
            buckets=self.buckets,
            evaluate_every=self.evaluate_every,
            log_every=self.log_every,
            steps_per_loop=self.steps_per_loop,
        )
        require_in(
            "[0, 1)",
            quantize_after=self.quantize_after,
            noise_share=self.noise_share,
            stochastic_depth=self.stochastic_depth,
            variational_noise_after=self.variational_noise_after,
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
            variational_noise=self.variational_noise,
        )

    @property
    def loss(self) -> LossConfig:
        """Those of the loss alone."""
        return self._part(LossConfig)

    @property
    def input(self) -> InputConfig:
        """Those of the input alone."""
        return self._part(InputConfig)

    def _part(self, config: type) -> Any:
        names = [field.name for field in dataclasses.fields(config)]
        return config(**{name: getattr(self, name) for name in names})

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TrainingConfig":
        """Inverse of `to_config`; what a config of an earlier version leaves out has its
        default."""
        return cls(**config)
