"""Two processes that train together, as machines of a cluster would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny

PROGRAM = """
from int4_conformer.cli import main
from int4_conformer.models import presets
from tests.support import tiny

presets.PRESETS["test"] = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
main.main()
"""


def start(folder, steps):
    """Two workers; what they print goes to files."""
    sockets = [socket.socket() for _ in range(2)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]
    for free in sockets:
        free.close()
    command = [
        *(sys.executable, "-c", PROGRAM, "train", f"--manifest={folder / 'manifest.jsonl'}"),
        *(f"--workdir={folder / 'run'}", "--preset=test", f"--steps={steps}", "--warmup=1"),
        *("--batch_seconds=1.44", "--buckets=1", "--noxla", "--strategy=multi_worker"),
        "--dev_split=",
    ]
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        with (folder / f"{index}.log").open("w") as log:
            environment = os.environ | {"TF_CONFIG": json.dumps(task)}
            environment["PYTHONPATH"] = ":".join(sys.path)
            workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    return workers


@pytest.mark.heavy
def test_all_save_after_the_same_step_when_one_is_to_stop(tmp_path):
    tiny.write_corpus(tmp_path)
    workers = start(tmp_path, steps=1_000_000)
    logs = [tmp_path / f"{index}.log" for index in range(2)]
    while "done in" not in logs[1].read_text() or "train " not in logs[1].read_text():
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
