"""The settings of a run as a config file holds them.

A config file is a Python file with a function `get_config()`, which changes what `run_config()`
gives:

    from int4_conformer.training.run_config import run_config

    def get_config():
        config = run_config()
        config.corpus.manifest = "corpus/manifest.jsonl"
        config.model.preset = "tiny"
        config.model.encoder.blocks = 6
        config.optimizer.learning_rate = 1e-3
        return config

Its fields are the flags of `int4-conformer train`, in sections, and those of the parts of the
model, which stand for the preset's where they are not set.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.data.augmentation.augmentation_config import AugmentationConfig
from int4_conformer.errors import UserError
from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.models.model_config import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    TransducerConfig,
)
from int4_conformer.training.training_config import TrainingConfig

# Flags of `train` that are no fields of a config class, by section.
_FLAGS = {
    "corpus": (
        *("manifest", "split", "dev_split", "dev_fraction", "on_error"),
        *("phrases", "voices", "utterances", "speech_seed"),
    ),
    "model": ("preset", "recipe", "tokenizer", "tied", "text", "markers", "locale"),
}
_OPTIMIZER = (
    *("optimizer", "schedule", "learning_rate", "warmup", "weight_decay", "clip_norm"),
    *("skip_norm", "average", "accumulate"),
)
_PARTS = {
    "encoder": EncoderConfig,
    "second_pass": EncoderConfig,
    "predictor": PredictorConfig,
    "joint": JointConfig,
    "front_end": FrontEndConfig,
}


def run_config() -> config_dict.ConfigDict:
    """A config in which nothing is set: flags have their defaults, the model is the preset's.

    Example:

        >>> config = run_config()
        >>> config.optimizer.learning_rate = 1e-3
        >>> sorted(config)
        ['augmentation', 'corpus', 'loss', 'model', 'optimizer', 'training']
    """
    config = config_dict.ConfigDict()
    for section, names in _FLAGS.items():
        config[section] = {name: config_dict.placeholder(_flag_type(name)) for name in names}
    for field in dataclasses.fields(TrainingConfig):
        section = _section(field.name)
        if section not in config:
            config[section] = {}
        config[section][field.name] = config_dict.placeholder(_plain_type(field.type))
    for part, kind in _PARTS.items():
        config.model[part] = {
            field.name: config_dict.placeholder(_plain_type(field.type))
            for field in dataclasses.fields(kind)
        }
    return config


def flags_of(config: config_dict.ConfigDict) -> dict[str, Any]:
    """What of a config is set, by the names of flags.

    Raises:
        UserError: it has a section or a field that there is not.
    """
    _require_known(config, run_config(), "")
    return {
        name: value
        for section in config.values()
        for name, value in section.items()
        if value is not None and not isinstance(value, config_dict.ConfigDict)
    }


def parts_of(config: config_dict.ConfigDict) -> dict[str, dict[str, Any]]:
    """What of a config is set of each part of the model."""
    parts = {
        part: {name: value for name, value in config.model[part].items() if value is not None}
        for part in _PARTS
    }
    return {part: fields for part, fields in parts.items() if fields}


def with_parts(model: TransducerConfig, parts: Mapping[str, Mapping[str, Any]]) -> TransducerConfig:
    """A model with other sizes of its parts.

    Args:
        model: to change.
        parts: as `parts_of` gives them.

    Raises:
        UserError: sizes do not fit, or there is no second pass to change.
    """
    changed = {}
    for part, fields in parts.items():
        known = getattr(model, part)
        if known is None:
            raise UserError(
                f"Preset {model.name!r} has no second pass to give {', '.join(fields)} to; choose "
                "a cascaded preset."
            )
        changed[part] = dataclasses.replace(known, **fields)
    # All at once: some sizes of two parts have to be equal.
    return dataclasses.replace(model, **changed)


def differences(config: Any, others: Any) -> list[str]:
    """The fields of a config dataclass that another's do not equal, as "blocks 6 (4)".

    Example:

        >>> differences(TrainingConfig(steps=20), TrainingConfig())
        ['steps 20 (10000)']
    """
    found = []
    for field in dataclasses.fields(config):
        one, other = getattr(config, field.name), getattr(others, field.name)
        if one == other:
            continue
        if dataclasses.is_dataclass(one) and type(one) is type(other):
            found += [f"{field.name}.{line}" for line in differences(one, other)]
        else:
            found.append(f"{field.name} {one} ({other})")
    return found


def _section(name: str) -> str:
    if name in _OPTIMIZER:
        return "optimizer"
    for section, config in (("loss", LossConfig), ("augmentation", AugmentationConfig)):
        if name in {field.name for field in dataclasses.fields(config)}:
            return section
    return "training"


def _flag_type(name: str) -> type:
    return {"dev_fraction": float, "tied": bool}.get(name, str)


def _plain_type(annotation: Any) -> type:
    """`int` of `int | None`, `str` of a `Literal`."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = (a for a in typing.get_args(annotation) if a is not types.NoneType)
    return str if typing.get_origin(annotation) is typing.Literal else annotation


def _require_known(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise UserError(
                f"The config has a field {prefix}{name}, which there is not; "
                f"{prefix or 'it'} has {', '.join(sorted(known))}."
            )
        if isinstance(known[name], config_dict.ConfigDict):
            _require_known(value, known[name], f"{prefix}{name}.")
