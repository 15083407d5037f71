"""What the settings of training mean for a model and its steps."""

from typing import Any

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.training.training_config import TrainingConfig


def step_options(config: TrainingConfig) -> dict[str, Any]:
    """What `Transducer.compile` takes of the settings, beside the optimizer."""
    noise = None
    if config.variational_noise:
        noise = VariationalNoise(
            stddev=config.variational_noise,
            start_step=round(config.variational_noise_after * config.steps),
            encoder=config.variational_noise_encoder,
        )
    return {
        "loss": config.loss,
        "augment": SpecAugmentConfig() if config.spec_augment else None,
        "clip_norm": config.clip_norm,
        "seed": config.seed,
        "xla": config.xla,
        "accumulate": config.accumulate,
        "quantize_from": round(config.quantize_after * config.steps),
        "noise": noise,
    }
