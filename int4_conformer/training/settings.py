"""What the settings of training mean for a model and its steps."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.teacher import load_teacher
from int4_conformer.training.training_config import ComputeDtype, TrainingConfig


def trained_as(model: TransducerConfig, config: TrainingConfig) -> TransducerConfig:
    """The model with what the settings of training add to it."""
    encoders = {}
    if config.stochastic_depth:
        encoders = {
            name: dataclasses.replace(encoder, stochastic_depth=config.stochastic_depth)
            for name in ("encoder", "second_pass")
            if (encoder := getattr(model, name)) is not None
        }
    recipe = model.recipe
    if config.compute_dtype != "float32":
        rules = (
            (pattern, dataclasses.replace(rule, backward_dtype=config.compute_dtype))
            for pattern, rule in recipe.rules
        )
        recipe = dataclasses.replace(recipe, rules=tuple(rules))
    return dataclasses.replace(model, ctc=config.ctc_weight > 0, recipe=recipe, **encoders)


@contextlib.contextmanager
def computing_in(dtype: ComputeDtype) -> Iterator[None]:
    """Layers that are made within this context compute in a type, with weights in float32."""
    if dtype == "float32":
        yield
        return
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def step_options(
    config: TrainingConfig, model: TransducerConfig, tokenizer: Tokenizer
) -> dict[str, Any]:
    """What `Transducer.compile` takes of the settings, beside the optimizer.

    Args:
        config: the settings.
        model: sizes of the recogniser that is trained.
        tokenizer: makes its labels.

    Raises:
        UserError: the teacher cannot be learned from.
    """
    teacher = load_teacher(config.teacher, tokenizer, model) if config.teacher else None
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
        "skip_norm": config.skip_norm,
        "seed": config.seed,
        "xla": config.xla,
        "accumulate": config.accumulate,
        "quantize_from": round(config.quantize_after * config.steps),
        "noise": noise,
        "teacher": teacher,
    }
