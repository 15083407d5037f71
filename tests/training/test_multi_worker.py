"""Two processes that train together, as machines of a cluster would."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny

# Without dropout, whose masks differ from replica to replica.
PROGRAM = """
import dataclasses
from int4_conformer.cli import main
from int4_conformer.models import presets
from tests.support import tiny

encoder = dataclasses.replace(tiny.ENCODER, dropout=0.0)
presets.PRESETS["test"] = presets.Preset(encoder=encoder, joint_dim=tiny.JOINT_DIM)
main.main()
"""


def command(folder, run, steps, *more):
    return [
        *(sys.executable, "-c", PROGRAM, "train", f"--manifest={folder / 'manifest.jsonl'}"),
        *(f"--workdir={folder / run}", "--preset=test", f"--steps={steps}", "--warmup=1"),
        *("--batch_seconds=1.44", "--buckets=1", "--noxla", "--dev_split=", *more),
    ]


def start(folder, steps, *more, run="run"):
    """Two workers; what they print goes to files."""
    sockets = [socket.socket() for _ in range(2)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]
    for free in sockets:
        free.close()
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        with (folder / f"{index}.log").open("w") as log:
            environment = os.environ | {"TF_CONFIG": json.dumps(task)}
            environment["PYTHONPATH"] = ":".join(sys.path)
            given = command(folder, run, steps, "--strategy=multi_worker", *more)
            workers.append(subprocess.Popen(given, env=environment, stdout=log, stderr=log))
    return workers


def variables(folder):
    """Those of the last checkpoint of a run by name."""
    reader = tf.train.load_checkpoint(Workdir(folder).latest_checkpoint("last"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


# Float activations: the code that a rounding error tips over is no error of the workers.
STILL = ("--recipe=w4", "--nospec_augment", "--learning_rate=0.001", "--steps_per_loop=2")


@pytest.mark.heavy
def test_two_workers_take_the_steps_of_one_device_and_go_on_when_one_was_killed(tmp_path):
    tiny.write_corpus(tmp_path)
    logs = [tmp_path / f"{index}.log" for index in range(2)]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    given = command(tmp_path, "alone", 1, "--strategy=one_device", *STILL)
    assert subprocess.run(given, env=environment, check=False).returncode == 0
    for run, steps in (("first", 1), ("whole", 40)):
        workers = start(tmp_path, steps, *STILL, run=run)
        assert [worker.wait(timeout=600) for worker in workers] == [0, 0], logs[0].read_text()
    alone, first = variables(tmp_path / "alone"), variables(tmp_path / "first")
    # Of the optimizer, which tell a gradient from its double.
    moments = [name for name in alone if name.startswith("optimizer/_variables/")]
    assert len(moments) > 50
    for name in moments:
        # Sums in another order, and nothing else.
        tolerance = 1e-3 * np.abs(alone[name]).max() + 1e-12
        np.testing.assert_allclose(first[name], alone[name], atol=tolerance, err_msg=name)

    often = [*STILL, "--checkpoint_minutes=1e-9"]
    workers = start(tmp_path, 40, *often, run="killed")
    while Workdir(tmp_path / "killed").steps_done < 3:
        assert all(worker.poll() is None for worker in workers), logs[0].read_text()
        time.sleep(0.2)
    workers[1].kill()
    # Whoever watches over the workers starts those that have ended, or all.
    assert workers[0].wait(timeout=300) != 0
    assert "Another machine of TF_CONFIG does not answer any more" in logs[0].read_text()
    assert 3 <= Workdir(tmp_path / "killed").steps_done < 40
    workers = start(tmp_path, 40, *often, run="killed")
    assert [worker.wait(timeout=600) for worker in workers] == [0, 0], logs[0].read_text()
    assert all("goes on from step" in log.read_text() for log in logs)
    whole, killed = variables(tmp_path / "whole"), variables(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(killed[name], value, err_msg=name)


@pytest.mark.heavy
def test_all_save_after_the_same_step_when_one_is_to_stop(tmp_path):
    tiny.write_corpus(tmp_path)
    workers = start(tmp_path, steps=1_000_000)
    logs = [tmp_path / f"{index}.log" for index in range(2)]
    while not re.search("the step for audio of .*: done in", logs[1].read_text()):
        assert all(worker.poll() is None for worker in workers), logs[0].read_text()
        time.sleep(1)
    workers[1].send_signal(signal.SIGTERM)
    assert [worker.wait(timeout=120) for worker in workers] == [143, 143]
    workdir = Workdir(tmp_path / "run")
    stopped = workdir.steps_done
    for log in logs:
        expected = f"stopped at step {stopped}, saved; the same command goes on"
        assert expected in log.read_text()

    workers = start(tmp_path, steps=stopped + 5)
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0], logs[0].read_text()
    assert all(f"goes on from step {stopped}" in log.read_text() for log in logs)
    assert workdir.steps_done == stopped + 5
    # One of them writes.
    assert [metrics["step"] for metrics in workdir.metrics()] == [stopped + 5]


def test_without_a_cluster(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    manifest = tiny.write_corpus(tmp_path)
    given = ["train", f"--manifest={manifest}", f"--workdir={tmp_path / 'run'}", "--dev_split="]
    line = commands.refusal(*given, "--strategy=multi_worker")
    assert "`multi_worker` needs TF_CONFIG to name the workers" in line
