"""Runs that are stopped at any moment end as if they had not been."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import xla
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.training import checkpoints
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import running, tiny
from tests.support.examples import heavy

STEPS = 4
CONFIG = TrainingConfig(
    steps=STEPS,
    batch_seconds=1.0,
    buckets=1,
    warmup=1,
    average=2,
    xla=False,
    evaluate_every=3,
    # After every step.
    checkpoint_minutes=1e-9,
)


@pytest.fixture(scope="module", params=["eager", *heavy("graph")])
def mode(request):
    """How steps are run until the tests of it are over."""
    with running.eagerly() if request.param == "eager" else xla.without_pieces():
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    manifest = tiny.write_corpus(tmp_path_factory.mktemp("corpus"))
    return normalized(read_corpus(manifest, "train"))


def trainer(corpus, folder):
    return Trainer(
        tiny.config(),
        CONFIG,
        tokenizer=tiny.TOKENIZER,
        train=corpus,
        dev=[],
        workdir=Workdir(folder),
        strategy=tf.distribute.get_strategy(),
    )


def everything(trainer):
    return [variable.numpy() for variable in tiny.trained_variables(trainer)]


@pytest.fixture(scope="module")
def uninterrupted(mode, corpus, tmp_path_factory):
    run = trainer(corpus, tmp_path_factory.mktemp("uninterrupted"))
    run.train()
    return everything(run), run._workdir.metrics()


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_at(monkeypatch, module, name, call):
    """Ends the run instead of a call of a function, counted from 1."""
    function, calls = getattr(module, name), itertools.count(1)

    def killing(*arguments, **options):
        if next(calls) == call:
            raise Killed
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, killing)


# Within a step, and within checkpoints: before their files are in place, between them, before they
# are sealed, and before an old one is removed.
MOMENTS = [(Path, "replace", 8)]
OTHERS = [
    (Trainer, "_save", 3),
    (Trainer, "_save", 1),
    (checkpoints, "write_beside", 2),
    (checkpoints.Checkpoints, "_forget", 3),
    (Trainer, "_evaluate", 1),
]


@pytest.mark.parametrize(
    "moment",
    [*MOMENTS, *heavy(*((moment,) for moment in OTHERS))],
    ids=lambda moment: f"{moment[1]}-{moment[2]}",
)
def test_a_killed_run_ends_with_the_same_numbers(
    corpus, uninterrupted, tmp_path, moment, monkeypatch
):
    with monkeypatch.context() as patch:
        kill_at(patch, *moment)
        with pytest.raises(Killed):
            trainer(corpus, tmp_path).train()
    resumed = trainer(corpus, tmp_path)
    resumed.train()
    variables, metrics = uninterrupted
    for variable, expected in zip(everything(resumed), variables, strict=True):
        np.testing.assert_array_equal(variable, expected)
    found = resumed._workdir.metrics()
    assert [line["step"] for line in found] == [line["step"] for line in metrics] == [3, 4]
    assert [line["loss"] for line in found] == [line["loss"] for line in metrics]


PROGRAM = """
import os, signal, sys
import tensorflow as tf
from int4_conformer.cli import main
from int4_conformer.models import presets
from int4_conformer.training.trainer import Trainer
from tests.support import running, tiny

presets.PRESETS["test"] = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
take_steps = Trainer._take_steps

def interrupted_step(trainer, batches, planned, step, progress):
    if step == 1:
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    return take_steps(trainer, batches, planned, step, progress)

if "SIGNAL" in os.environ:
    Trainer._take_steps = interrupted_step
# Graphs of so few steps take longer to trace.
tf.config.run_functions_eagerly(True)
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, *heavy(signal.SIGTERM)])
def test_a_signal_stops_behind_the_step(tmp_path, number):
    manifest = tiny.write_corpus(tmp_path)
    command = [
        *(sys.executable, "-c", PROGRAM, "train", f"--manifest={manifest}", "--dev_split="),
        *(f"--workdir={tmp_path / 'run'}", "--preset=test", "--steps=4", "--warmup=1"),
        *("--batch_seconds=1", "--buckets=1", "--noxla"),
    ]
    environment = {"SIGNAL": str(int(number)), "PYTHONPATH": ":".join(sys.path)}
    stopped = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert stopped.returncode == 128 + number, stopped.stderr
    assert "stopping after this step; again ends at once" in stopped.stdout
    assert "stopped at step 2, saved; the same command goes on" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    assert Workdir(tmp_path / "run").steps_done == 2
    if number == signal.SIGTERM:
        del environment["SIGNAL"]
        more = [*command, "--steps=5"]
        resumed = subprocess.run(more, env=environment, capture_output=True, text=True, check=False)
        assert resumed.returncode == 0, resumed.stderr
        assert "goes on from step 2" in resumed.stdout
        assert Workdir(tmp_path / "run").steps_done == 5
