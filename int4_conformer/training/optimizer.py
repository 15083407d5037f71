"""AdamW with warm-up and cosine decay."""

from collections.abc import Sequence
from typing import Any

import keras

from int4_conformer.training.training_config import TrainingConfig


@keras.saving.register_keras_serializable(package="int4_conformer")
class ScheduledAdamW(keras.optimizers.AdamW):
    """AdamW (arXiv 1711.05101) whose learning rate follows a schedule.

    The schedule is asked once a step; Keras would ask it for each weight, which took half of the
    time to trace a step.

    Args:
        schedule: learning rate by step.
        kwargs: of `keras.optimizers.AdamW`.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, **kwargs: Any):
        super().__init__(**(kwargs | {"learning_rate": 0.0}))
        self.schedule = schedule

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        self.learning_rate = self.schedule(self.iterations)
        super().apply(grads, trainable_variables)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return super().get_config() | {"schedule": schedule}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ScheduledAdamW":
        schedule = keras.optimizers.schedules.deserialize(config["schedule"], custom_objects)
        return cls(**(config | {"schedule": schedule}))


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """AdamW whose learning rate warms up linearly and falls by a cosine.

    Clipping is the training step's: it must see the sum of all replicas' gradients.
    """
    warmup = min(config.warmup, config.steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / max(1, warmup),
        decay_steps=config.steps - warmup,
        alpha=0.01,
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    return ScheduledAdamW(schedule, weight_decay=config.weight_decay, beta_2=0.98, epsilon=1e-9)
