"""AdamW with warm-up and cosine decay."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.training.training_config import TrainingConfig


@keras.saving.register_keras_serializable(package="int4_conformer")
class ScheduledAdamW(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` (arXiv 1711.05101) that asks its schedule once a step.

    Keras asks it for each weight, which took half of the time to trace a step.
    """

    # Within a step, its learning rate.
    _rate: tf.Tensor | None = None

    @property
    def learning_rate(self) -> Any:
        return super().learning_rate if self._rate is None else self._rate

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        self._rate = self.learning_rate
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._rate = None


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
