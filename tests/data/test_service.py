import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.service import batch_client
from int4_conformer.data.service.batch_client import BatchClient
from int4_conformer.data.service.batch_worker import BatchWorker, register
from int4_conformer.data.service.dispatcher import Dispatcher
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from tests.support import batched, commands, tiny

GRAPHEMES = Graphemes()


@contextlib.contextmanager
def running(server):
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def dispatcher():
    with running(Dispatcher("127.0.0.1", 0)) as dispatcher:
        yield dispatcher


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    utterances = batched.corpus(tmp_path_factory.mktemp("audio"))
    buckets = make_buckets(
        utterances,
        GRAPHEMES,
        count=2,
        batch_size=4,
        augmentation=InputConfig(speed_perturbation="0.9"),
    )
    config = InputConfig(speed_perturbation="0.9,1.0,1.1", noise="synthetic")
    return InputPipeline(utterances, GRAPHEMES, buckets, config)


def test_workers_make_the_batches_of_the_training_whoever_goes(dispatcher, pipeline):
    address = ("127.0.0.1", dispatcher.port)
    settings = {"fingerprint": pipeline.fingerprint, "corpus": {"manifest": "m"}}
    client = BatchClient(address, settings)
    built = []
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                running(BatchWorker("127.0.0.1", 0, lambda s: built.append(s) or pipeline))
            )
            for _ in range(2)
        ]
        connections = [register(address, worker.port) for worker in workers]
        assert client.require_workers() == 2
        plan = pipeline.plan(5)
        made = client.batches(5, part=1, parts=2)
        for number in range(12):
            batch, broken = next(made)
            expected, _ = pipeline.batch(next(plan), 1, 2)
            assert not broken
            for name, values in expected.items():
                np.testing.assert_array_equal(batch[name], values)
            if number == 3:
                # One of the two is killed: it hangs up on all.
                connections[0].close()
                workers[0].shutdown()
                workers[0].socket.close()
        made.close()
        assert built
        other = BatchClient(address, settings | {"fingerprint": "another"})
        with pytest.raises(UserError, match="finds another corpus at m than the training does"):
            other.require_workers()
        connections[1].close()


def test_without_workers(dispatcher, monkeypatch):
    monkeypatch.setattr(batch_client, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(UserError, match="knows no data worker that answers; start some with"):
        BatchClient(("127.0.0.1", dispatcher.port), {}).require_workers()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=f"No dispatcher answers at 127.0.0.1:{port}; start one"):
        BatchClient(("127.0.0.1", port), {}).require_workers()
    for arguments, sentence in (
        ([], "Give data_worker either --serve or --dispatcher=HOST:PORT."),
        (["--dispatcher=here"], "`dispatcher` must be HOST:PORT. Received: dispatcher='here'"),
        (["corpus"], "data_worker takes flags only. Received: 'corpus'"),
    ):
        assert commands.refusal("data_worker", *arguments) == f"int4-conformer: {sentence}"
    with pytest.raises(UserError, match="`data_service` must be HOST:PORT"):
        InputConfig(data_service="5050")


PROGRAM = """
from int4_conformer.cli import main
from int4_conformer.models import presets
from tests.support import tiny

presets.PRESETS["test"] = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
main.main()
"""


@contextlib.contextmanager
def process(*arguments):
    """A command that runs until it is not needed, once it has said something."""
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started.stdout.readline()
        finally:
            started.kill()


@pytest.mark.heavy
def test_a_training_hears_the_same_from_two_worker_processes(tmp_path):
    manifest = tiny.write_corpus(tmp_path)
    train = [
        *(sys.executable, "-c", PROGRAM, "train", f"--manifest={manifest}", "--preset=test"),
        *("--steps=4", "--warmup=1", "--batch_seconds=0.8", "--buckets=1", "--noxla"),
        *("--noise=synthetic", "--dev_split=", "--log_every=1", "--speed_perturbation=0.9,1.1"),
    ]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}

    def losses(name, *more):
        run = tmp_path / name
        done = subprocess.run(
            [*train, f"--workdir={run}", *more],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = (run / "progress.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines], done.stdout

    with process("data_worker", "--serve", "--port=5059") as said:
        assert said == "dispatcher on 127.0.0.1:5059; Ctrl-C ends it\n"
        worker = ("data_worker", "--dispatcher=127.0.0.1:5059")
        with process(*worker) as first, process(*worker) as second:
            assert first.startswith("worker on 127.0.0.1:")
            assert second != first
            served, out = losses("served", "--data_service=127.0.0.1:5059")
    assert "input       2 data workers of 127.0.0.1:5059" in out
    assert len(served) == 4
    assert losses("alone")[0] == served
