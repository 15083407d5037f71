import json

import pytest

from int4_conformer.errors import UserError
from int4_conformer.training.training_config import TrainingConfig


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("steps", [0, -1], "must be at least 1"),
        ("buckets", [0], "must be at least 1"),
        ("evaluate_every", [0], "must be at least 1"),
        ("batch_seconds", [0, -1.0, float("nan")], "must be positive"),
        ("max_seconds", [0], "must be positive"),
        ("learning_rate", [0, -1e-3], "must be positive"),
        ("clip_norm", [0], "must be positive"),
        ("warmup", [-1], "must not be negative"),
        ("weight_decay", [-1e-3], "must not be negative"),
        ("average", [-1], "must not be negative"),
        ("fast_emit", [-0.1], "must not be negative"),
        ("ctc_weight", [-0.1, float("nan")], "must not be negative"),
        ("label_smoothing", [-0.1, 1.0], r"must be in \[0, 1\)"),
    ],
)
def test_refused_settings(name, values, message):
    for value in values:
        with pytest.raises(UserError, match=rf"`{name}` {message}. Received: {name}={value}"):
            TrainingConfig(**{name: value})


@pytest.mark.parametrize(
    "name",
    ["warmup", "weight_decay", "average", "seed", "fast_emit", "label_smoothing", "ctc_weight"],
)
def test_zero_switches_off(name):
    assert getattr(TrainingConfig(**{name: 0}), name) == 0


def test_it_survives_json():
    config = TrainingConfig(steps=7, learning_rate=1e-4, spec_augment=False, average=3)
    assert TrainingConfig(**json.loads(json.dumps(config.to_config()))) == config


@pytest.mark.parametrize("name", ["optimizer", "schedule"])
def test_refused_names(name):
    with pytest.raises(UserError, match=rf"`{name}` must be one of .*. Received: {name}='sgd'"):
        TrainingConfig(**{name: "sgd"})


def test_configs_of_earlier_versions_have_the_defaults():
    old = {"steps": 7, "learning_rate": 1e-4, "spec_augment": False, "average": 3}
    assert TrainingConfig.from_config(old) == TrainingConfig(**old)
