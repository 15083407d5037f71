"""Keras' optimizers, with learning rates that warm up."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.training.training_config import Schedule, TrainingConfig

# Part of the highest learning rate at which schedules that fall end.
_LAST = 0.01


class _Scheduled:
    """Mixin, to be named before a Keras optimizer, that asks its schedule once a step.

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


@keras.saving.register_keras_serializable(package="int4_conformer")
class ScheduledAdamW(_Scheduled, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` (arXiv 1711.05101)."""


@keras.saving.register_keras_serializable(package="int4_conformer")
class ScheduledAdafactor(_Scheduled, keras.optimizers.Adafactor):
    """`keras.optimizers.Adafactor` (arXiv 1804.04235): steps in units of each weight's own size."""


@keras.saving.register_keras_serializable(package="int4_conformer")
class ScheduledLion(_Scheduled, keras.optimizers.Lion):
    """`keras.optimizers.Lion` (arXiv 2302.06675): steps of one size, by the sign."""


@keras.saving.register_keras_serializable(package="int4_conformer")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, and what follows it by the schedule's name.

    With w steps of warm-up among n, behind them, in units of the highest rate:

        linear          a line down to a hundredth at step n
        constant        1
        transformer     sqrt(w / step) (arXiv 1706.03762, section 5.3)
        tri_stage       1 until n / 2, then exponentially down to a hundredth at step n (arXiv
                        1904.08779, section 3.2: ramp up, hold, decay)

    Args:
        name: of the schedule.
        peak: highest rate.
        steps: n.
        warmup: w.

    Example:

        >>> schedule = WarmUp("transformer", peak=1e-3, steps=1000, warmup=100)
        >>> [round(float(schedule(step)), 5) for step in (0, 100, 400)]
        [1e-05, 0.001, 0.0005]
    """

    def __init__(self, name: Schedule, *, peak: float, steps: int, warmup: int):
        self._name = name
        self._peak = peak
        self._steps = steps
        self._warmup = warmup

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        warmup = float(max(1, self._warmup))
        rising = (1.0 + step * (warmup - 1.0) / warmup) / warmup
        return self._peak * tf.where(step < self._warmup, rising, self._after(step))

    def _after(self, step: tf.Tensor) -> tf.Tensor:
        if self._name == "constant":
            return tf.ones_like(step)
        if self._name == "transformer":
            return tf.sqrt(max(1, self._warmup) / tf.maximum(step, 1.0))
        holds = self._warmup
        if self._name == "tri_stage":
            holds = max(self._warmup, self._steps // 2)
        fallen = tf.clip_by_value((step - holds) / max(1, self._steps - holds), 0.0, 1.0)
        return 1.0 - (1.0 - _LAST) * fallen if self._name == "linear" else _LAST**fallen

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "peak": self._peak,
            "steps": self._steps,
            "warmup": self._warmup,
        }


def make_schedule(config: TrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by the number of the step, counted from 0."""
    warmup = min(config.warmup, config.steps - 1)
    if config.schedule != "cosine":
        return WarmUp(config.schedule, peak=config.learning_rate, steps=config.steps, warmup=warmup)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / max(1, warmup),
        decay_steps=config.steps - warmup,
        alpha=_LAST,
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer that the settings name, with their schedule.

    Clipping is the training step's: it must see the sum of all replicas' gradients.
    """
    schedule, decay = make_schedule(config), config.weight_decay
    if config.optimizer == "adafactor":
        # Its estimate is a product of a row's and a column's. With Keras' 1e-30, that of a row and
        # a column without gradient is no float32 any more, and the step becomes 0 / 0.
        return ScheduledAdafactor(schedule, weight_decay=decay, epsilon_1=1e-16)
    if config.optimizer == "lion":
        return ScheduledLion(schedule, weight_decay=decay)
    return ScheduledAdamW(schedule, weight_decay=decay, beta_2=0.98, epsilon=1e-9)
