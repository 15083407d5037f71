import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import tiny

SETTINGS = TrainingConfig(steps=3).to_config()


def save(workdir, kind, step):
    """Saves a step counter as the checkpoint of a kind."""
    workdir.checkpoints(kind).save(tf.train.Checkpoint(step=tf.Variable(step)), step, {})


def checkpoints(workdir):
    return sorted(
        str(file.relative_to(workdir.path).with_suffix(""))
        for file in workdir.path.rglob("checkpoints/*/*.index")
    )


def test_create_writes_the_configuration(tmp_path):
    folder = tmp_path / "runs" / "first"
    Workdir(folder).create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["encoder"]["dim"] == 16
    assert config["tokenizer"] == {"type": "graphemes", "charset": " abcdefghij"}
    assert config["training"]["steps"] == 3
    assert [file.name for file in folder.iterdir()] == ["config.json"]


def test_create_takes_a_folder_of_the_same_settings(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    save(workdir, "last", 1)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)


def test_create_takes_a_folder_of_an_earlier_version(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config("w4a8sym"), tiny.TOKENIZER, SETTINGS)
    save(workdir, "last", 1)
    file = tmp_path / "config.json"
    today = file.read_text()
    old = today.replace('"w4a8sym"', '"w4a8s"').replace('"int8_symmetric"', '"int8"')
    assert old.count('"w4a8s"') == old.count('"int8"') == 1
    file.write_text(old)
    workdir.create(tiny.config("w4a8sym"), tiny.TOKENIZER, SETTINGS)


def test_a_run_goes_on_with_the_front_end_that_it_was_begun_with(tmp_path):
    workdir, config = Workdir(tmp_path), tiny.config()
    old = dataclasses.replace(
        config, front_end=dataclasses.replace(config.front_end, remove_dc_offset=False)
    )
    workdir.create(old, tiny.TOKENIZER, SETTINGS)
    file = tmp_path / "config.json"
    fields = json.loads(file.read_text())
    del fields["model"]["front_end"]["remove_dc_offset"]
    file.write_text(json.dumps(fields))
    # Without a checkpoint nothing was begun.
    assert workdir.as_begun(config) == config
    save(workdir, "last", 1)
    assert workdir.as_begun(config) == old
    workdir.create(workdir.as_begun(config), tiny.TOKENIZER, SETTINGS)


def test_create_takes_a_folder_with_fewer_settings(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    save(workdir, "last", 1)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    del config["training"]["optimizer"], config["training"]["schedule"]
    file.write_text(json.dumps(config))
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)


def test_create_refuses_other_settings_and_names_them(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    save(workdir, "last", 1)
    before = (tmp_path / "config.json").read_bytes()
    for arguments, named in [
        ((tiny.config("w8a8"), tiny.TOKENIZER, SETTINGS), "model.recipe was .* and is .*"),
        (
            (tiny.config(), Graphemes(charset="ab"), SETTINGS),
            'tokenizer.charset was " abcdefghij" and is "ab"',
        ),
        (
            (tiny.config(), tiny.TOKENIZER, SETTINGS | {"warmup": 4}),
            "training.warmup was 500 and is 4",
        ),
        (
            (tiny.config(), tiny.TOKENIZER, SETTINGS | {"more": 4}),
            "training.more was null and is 4",
        ),
    ]:
        with pytest.raises(UserError, match=rf"other settings \({named}\).*--init_from="):
            workdir.create(*arguments)
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_goes_on_with_more_steps_and_other_intervals(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    save(workdir, "last", 1)
    free = {"steps": 9, "evaluate_every": 2, "checkpoint_minutes": 1.5}
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS | free)
    training = json.loads((tmp_path / "config.json").read_text())["training"]
    assert {name: training[name] for name in free} == free


def test_half_a_line_of_metrics_is_left_out(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    workdir = Workdir(tmp_path)
    assert [metrics["step"] for metrics in workdir.metrics()] == [1, 2]
    workdir.forget_after(1)
    assert file.read_text() == '{"step": 1, "loss": 2.0}\n'


def test_one_training_writes_into_a_folder(tmp_path):
    workdir = Workdir(tmp_path)
    with workdir.locked():
        message = rf"Another training writes into .* \(process {os.getpid()}\)"
        with pytest.raises(UserError, match=message), Workdir(tmp_path).locked():
            pass
    with Workdir(tmp_path).locked():
        pass


def test_create_replaces_a_run_without_a_checkpoint(tmp_path):
    workdir = Workdir(tmp_path)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS | {"steps": 4})
    assert json.loads((tmp_path / "config.json").read_text())["training"]["steps"] == 4


def test_create_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"The folder .*file.* cannot be made"):
            Workdir(path).create(tiny.config(), tiny.TOKENIZER, SETTINGS)


@pytest.mark.parametrize("content", ["", "[]", '{"model": {}}', '{"hidden_size": 512}'])
def test_a_foreign_configuration(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match=r"config\.json is not what `int4-conformer train` wrote"):
        workdir.create(tiny.config(), tiny.TOKENIZER, SETTINGS)
    with pytest.raises(UserError, match=r"config\.json is not what `int4-conformer train` wrote"):
        workdir.load()


def test_the_newest_checkpoint_of_each_kind_is_kept(tmp_path):
    workdir = Workdir(tmp_path)
    assert workdir.latest_checkpoint("last") is None
    assert workdir.steps_done == 0
    # 10 comes after 9.
    for kind, step in [("best", 8), ("last", 8), ("last", 9), ("best", 10), ("last", 10)]:
        save(workdir, kind, step)
        assert workdir.latest_checkpoint(kind).endswith(f"checkpoints/{kind}/step-{step}")
    assert checkpoints(workdir) == [
        "checkpoints/best/step-10",
        "checkpoints/last/step-10",
        "checkpoints/last/step-9",
    ]
    assert workdir.steps_done == 10


def test_saving_one_kind_leaves_the_other(tmp_path):
    workdir = Workdir(tmp_path)
    save(workdir, "last", 8)
    save(workdir, "best", 9)
    assert checkpoints(workdir) == ["checkpoints/best/step-9", "checkpoints/last/step-8"]


@pytest.fixture(scope="module")
def last(trained):
    return Workdir(trained.workdir).load("last")[0]


def test_load_takes_the_best_checkpoint(trained, last):
    best, tokenizer = Workdir(trained.workdir).load()
    assert tokenizer == Graphemes(charset=" ab")
    assert best.config == last.config
    assert best.config.encoder == tiny.ENCODER
    assert (best.config.vocab_size, best.config.recipe) == (4, tiny.config("w4a8").recipe)
    # The best step of this run was its last.
    for variable, expected in zip(best.weights, last.weights, strict=True):
        np.testing.assert_array_equal(variable, expected, err_msg=variable.path)


def test_load_takes_the_last_checkpoint_where_there_is_no_best(trained, tmp_path):
    shutil.copy(trained.workdir / "config.json", tmp_path)
    shutil.copytree(trained.interrupted / "checkpoints/last", tmp_path / "checkpoints/last")
    model, _ = Workdir(tmp_path).load()
    assert any(
        np.array_equal(model.encoder.input_dense.kernel, value) for value in trained.variables
    )


def test_load_takes_the_average_of_the_last_weights(trained, last):
    trainer = trained.trainer
    for variable, average, weight in zip(
        last.trainable_variables,
        trainer._average._averages,
        trainer.model.trainable_variables,
        strict=True,
    ):
        np.testing.assert_array_equal(variable, average, err_msg=variable.path)
        assert not np.array_equal(variable, weight), variable.path
    np.testing.assert_array_equal(last.front_end.mean, trainer.model.front_end.mean)


def test_load_refuses(trained, tmp_path):
    with pytest.raises(UserError, match=r"is no training folder: it has no config\.json"):
        Workdir(tmp_path).load()
    shutil.copy(trained.workdir / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"has no checkpoint yet \(best or last\); train until"):
        Workdir(tmp_path).load()
    shutil.copytree(trained.workdir / "checkpoints/best", tmp_path / "checkpoints/best")
    with pytest.raises(UserError, match=r"has no checkpoint yet \(last\)"):
        Workdir(tmp_path).load("last")
