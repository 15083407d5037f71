import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path
from int4_conformer.training.initial_weights import InitialWeights, read_weights
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny


def weights(model):
    return {path: variable.numpy() for path, variable in by_path(model).items()}


def trainer(trained, workdir, initial_weights):
    model, tokenizer = Workdir(trained.workdir).load()
    settings = json.loads((trained.workdir / "config.json").read_text())["training"]
    return Trainer(
        model.config,
        TrainingConfig(**settings),
        tokenizer=tokenizer,
        train=normalized(read_corpus(trained.manifest, "train")),
        dev=[],
        workdir=Workdir(workdir),
        strategy=tf.distribute.get_strategy(),
        initial_weights=initial_weights,
    )


def test_a_new_run_starts_from_the_best_of_another(trained, tmp_path):
    new = trainer(trained, tmp_path / "new", InitialWeights(path=str(trained.workdir)))
    new._resume_or_start()
    best = weights(Workdir(trained.workdir).load()[0])
    for path, value in weights(new.model).items():
        np.testing.assert_array_equal(value, best[path], err_msg=path)
    averages = zip(new.model.trainable_variables, new._average._averages, strict=True)
    for variable, average in averages:
        np.testing.assert_array_equal(variable, average)
    assert new.imported.missing == new.imported.unused == ()


def test_without_statistics_the_corpus_gives_them(trained, tmp_path):
    values = weights(Workdir(trained.workdir).load()[0])
    mean = values.pop("front_end/mean")
    np.savez(tmp_path / "weights.npz", **values)
    new = trainer(trained, tmp_path / "new", InitialWeights(path=str(tmp_path / "weights.npz")))
    assert new.imported.missing == ("front_end/mean",)
    new._resume_or_start()
    np.testing.assert_allclose(new.model.front_end.mean, mean, rtol=1e-5)


def test_a_resumed_run_goes_on_as_it_is(trained):
    resumed = trainer(trained, trained.workdir, InitialWeights(path="absent.npz"))
    assert resumed.imported is None


@pytest.mark.parametrize("name", ["a.npz", "a.weights.h5", "a.keras", "step-1"])
def test_files(tmp_path, name):
    model, path = tiny.shared_model("float"), tmp_path / name
    if name == "a.npz":
        np.savez(path, **weights(model))
    elif name == "a.keras":
        model.save(path)
    elif name == "a.weights.h5":
        model.save_weights(path)
    else:
        variables = {key: weight.value for key, weight in by_path(model).items()}
        tf.train.Checkpoint(model=tf.train.Checkpoint(**variables)).write(str(path))
    values = read_weights(str(path))
    expected = weights(model)
    if name in ("a.npz", "step-1"):
        prefix = "model/" if name == "step-1" else ""
        for key, value in expected.items():
            np.testing.assert_array_equal(values[prefix + key], value)
    else:
        kernel = expected["encoder/block_0/ffn_start/up/kernel"]
        names = [key for key, value in values.items() if np.array_equal(value, kernel)]
        assert len(names) == 1
        assert "ffn_start" in names[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.npz", None, "There is no file"),
        ("absent", None, "holds no weights that can be read; give a training folder"),
        ("a.npz", b"no", "is damaged, or not what its name says"),
        ("a.h5", b"no", "is damaged, or not what its name says"),
        ("a.keras", b"no", "is damaged, or not what its name says"),
        ("a.index", b"no", "is damaged, or not what its name says"),
    ],
)
def test_refused_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_weights(str(tmp_path / name.removesuffix(".index")))


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(UserError, match=r"cannot be started from: .* is no training folder"):
        InitialWeights(path=str(tmp_path)).give_to(keras.layers.Layer())


def test_flags(trained, tmp_path):
    given = ["train", f"--manifest={trained.manifest}", f"--workdir={tmp_path / 'run'}"]
    line = commands.refusal(*given, "--init_mapping=map.json")
    assert "--init_mapping and --init_may_miss say how to read --init_from; give it, too" in line
    line = commands.refusal(*given, "--init_from=a.npz", "--init_mapping=absent.json")
    assert "The mapping absent.json cannot be read" in line
    line = commands.refusal(*given, "--init_from=absent.npz", begun=True)
    assert "absent.npz cannot be started from: There is no file absent.npz" in line
