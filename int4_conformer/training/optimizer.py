"""AdamW with warm-up and cosine decay."""

import keras
import tensorflow as tf

from int4_conformer.training.training_config import TrainingConfig


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """AdamW (arXiv 1711.05101) whose learning rate warms up linearly and falls by a cosine.

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
    return keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, beta_2=0.98, epsilon=1e-9
    )


def clip(gradients: list[tf.Tensor], norm: float) -> list[tf.Tensor]:
    """Scales the gradients down to a common norm; a gradient that is not finite becomes zero, so
    that one bad batch costs one step and not the run."""
    clipped, total = tf.clip_by_global_norm(gradients, norm)
    finite = tf.math.is_finite(total)
    return [tf.where(finite, gradient, tf.zeros_like(gradient)) for gradient in clipped]
