import dataclasses
import importlib.util
from pathlib import Path

import pytest
from absl import flags

from int4_conformer.cli import demo, train
from int4_conformer.errors import UserError
from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.models import presets
from int4_conformer.models.presets import preset
from int4_conformer.training.run_config import (
    differences,
    flags_of,
    parts_of,
    run_config,
    with_parts,
)
from int4_conformer.training.training_config import TrainingConfig
from tests.support import commands, tiny
from tests.support.examples import heavy

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


def get_module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def get_config(path):
    return get_module(path).get_config()


def test_nothing_is_set_at_first():
    config = run_config()
    assert flags_of(config) == parts_of(config) == {}


SECTIONS = ("augmentation", "optimizer", "loss", "training")


def test_every_setting_of_a_training_is_in_one_section():
    config = run_config()
    names = [name for section in SECTIONS for name in config[section]]
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(TrainingConfig))
    assert set(config.loss) == {field.name for field in dataclasses.fields(LossConfig)}


def test_values_are_of_the_type_of_their_field():
    config = run_config()
    config.training.batch_seconds = 96.0
    config.model.encoder.chunk = 4
    with pytest.raises(TypeError):
        config.optimizer.warmup = "many"
    with pytest.raises(TypeError):
        config.model.encoder.kind = 3


def test_fields_that_there_are_not():
    config = run_config()
    config.optimizer.peak_lr = 1e-3
    with pytest.raises(UserError, match=r"a field optimizer.peak_lr, .* has accumulate, average, "):
        flags_of(config)


def test_parts_stand_above_the_preset():
    config = run_config()
    config.model.encoder.blocks = 6
    config.model.predictor.kind = "lookup"
    plain = preset("tiny", vocab_size=20)
    changed = with_parts(plain, parts_of(config))
    assert changed.encoder == dataclasses.replace(plain.encoder, blocks=6)
    assert changed.predictor == dataclasses.replace(plain.predictor, kind="lookup")
    assert dataclasses.replace(changed, encoder=plain.encoder, predictor=plain.predictor) == plain
    assert differences(changed, plain) == [
        "encoder.blocks 6 (4)",
        "predictor.kind lookup (averaged)",
    ]


def test_sizes_that_two_parts_share():
    config = run_config()
    # `tied` asks for as wide an embedding as a joint network.
    config.model.joint.dim = 192
    config.model.predictor.embedding_dim = 192
    changed = with_parts(preset("tiny", vocab_size=20), parts_of(config))
    assert changed.joint.dim == changed.predictor.embedding_dim == 192


def test_a_second_pass_that_there_is_not():
    config = run_config()
    config.model.second_pass.blocks = 6
    with pytest.raises(UserError, match="'tiny' has no second pass to give blocks to"):
        with_parts(preset("tiny"), parts_of(config))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_of_the_project(path):
    config = get_config(path)
    values = flags.FlagValues()
    train.COMMAND.define_flags(values)
    given = flags_of(config)
    assert set(given) <= set(values)
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    TrainingConfig(**{name: value for name, value in given.items() if name in names})
    with_parts(preset(given.get("preset", "tiny")), parts_of(config))


PLACES = {"tpu_v4_8": 4, "gpus_8": 8, "gpu_1": 1}


def librispeech():
    """What its config makes of an argument."""
    (path,) = (path for path in CONFIGS if path.stem == "librispeech_960")
    return get_module(path).get_config


@pytest.mark.parametrize("name", ["conformer_s", "conformer_m", "conformer_l", "cascaded_150m"])
def test_librispeech_is_heard_as_often_everywhere(name):
    given = [flags_of(librispeech()(f"{name},{place}")) for place in PLACES]
    for one, replicas in zip(given, PLACES.values(), strict=True):
        # Sixty passes through 960 hours.
        assert one["steps"] * one["batch_seconds"] == 60 * 960 * 3600
        at_once = one["batch_seconds"] / (replicas * one["accumulate"])
        assert 600 <= at_once <= 4800
    same = [{k: one[k] for k in one.keys() - {"accumulate", "steps_per_loop"}} for one in given]
    assert same[0] == same[1] == same[2]


def test_librispeech_elsewhere():
    with pytest.raises(UserError, match=r"behind a comma, one of tpu_v4_8, .*'conformer_l,gpus'"):
        librispeech()("conformer_l,gpus")


@pytest.mark.parametrize("place", ["tpu_v4_8", *heavy("gpus_8", "gpu_1")])
def test_the_recipe_of_librispeech_runs(tmp_path, monkeypatch, eagerly, place):
    """Its settings, on noise for speech and a small model, as far as any machine goes."""
    small = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
    monkeypatch.setitem(presets.PRESETS, "conformer_s", small)
    (path,) = (path for path in CONFIGS if path.stem == "librispeech_960")
    result = commands.run(
        *(
            "train",
            f"--config={path}:conformer_s,{place}",
            f"--manifest={tiny.write_corpus(tmp_path)}",
        ),
        *(f"--workdir={tmp_path / 'run'}", "--split=train", "--dev_split=", "--steps=2"),
        *("--tokenizer=graphemes", "--batch_seconds=2", "--buckets=2", "--strategy=one_device"),
    )
    assert result.status == 0, result.err
    assert "compute_dtype bfloat16 (float32)" in result.out
    assert "ctc_weight 0.1" in result.out


def test_the_demo_trains_what_its_config_says():
    (path,) = (path for path in CONFIGS if path.stem == "demo")
    given = flags_of(get_config(path))
    assert given.pop("manifest") == "synthetic"
    assert TrainingConfig(**given) == demo.training_config(steps=1500)


CONFIG = """
from int4_conformer.training.run_config import run_config

def get_config():
    config = run_config()
    config.training.steps = 0
    config.optimizer.warmup = 7
    return config
"""


@pytest.fixture
def given(tmp_path):
    """A command that ends where it checks its settings."""
    (tmp_path / "config.py").write_text(CONFIG)
    return (
        *("train", f"--manifest={tiny.write_corpus(tmp_path)}", f"--workdir={tmp_path / 'run'}"),
        f"--config={tmp_path / 'config.py'}",
    )


def test_a_config_file_is_taken(given):
    assert "Received: steps=0" in commands.refusal(*given)


def test_overrides_and_flags_stand_above_it(given):
    line = commands.refusal(*given, "--config.training.steps=-5")
    assert "Received: steps=-5" in line
    line = commands.refusal(*given, "--config.training.steps=-5", "--steps=-6")
    assert "Received: steps=-6" in line


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--config=nosuch.py", "There is no config file nosuch.py; check the path"),
        ("--config.optimizer.nosuch=1", "--config cannot be taken: AttributeError: "),
        ("--config.optimizer.warmup=abc", "--config.optimizer.warmup=abc"),
    ],
)
def test_refusals(given, flag, complaint):
    assert complaint in commands.refusal(*given, flag)


def test_a_file_with_an_error(given, tmp_path):
    (tmp_path / "config.py").write_text("def get_config():\n    return nonsense\n")
    assert "NameError: name 'nonsense' is not defined" in commands.refusal(*given)
