"""Runs whose folder is in the cloud, tried on the file system that TensorFlow keeps in memory."""

import uuid

import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.models import presets
from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny


def test_a_training_that_begins_goes_on_and_is_taken_over(tmp_path, monkeypatch, eagerly):
    test = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
    monkeypatch.setitem(presets.PRESETS, "test", test)
    run = f"ram://{uuid.uuid4()}/run"
    given = [
        *("train", f"--manifest={tiny.write_corpus(tmp_path)}", f"--workdir={run}", "--warmup=1"),
        *("--preset=test", "--batch_seconds=1", "--buckets=1", "--dev_split="),
    ]
    for steps in (1, 2):
        result = commands.run(*given, f"--steps={steps}")
        assert result.status == 0, result.err
    assert f"{run}: goes on from step 1" in result.out
    workdir = Workdir(run)
    assert [line["step"] for line in workdir.metrics()] == [1, 2]
    _, tokenizer = workdir.load()
    assert tokenizer.to_config() == {"type": "graphemes", "charset": " ab"}
    assert (workdir.path / "report.html").is_file()
    assert any(path.name.startswith("events.") for path in workdir.logs.iterdir())
    kept = sorted(path.name for path in (workdir.path / "checkpoints" / "last").glob("*.json"))
    assert kept == ["step-1.json", "step-2.json"]
    # A checkpoint that is damaged is passed over, as on this machine.
    data = "step-2.data-00000-of-00001"
    (workdir.path / "checkpoints" / "last" / data).write_bytes(b"damaged")
    assert workdir.steps_done == 1

    other = Workdir(run)
    with workdir.locked():
        workdir.checkpoints("last")
        with other.locked():
            other.checkpoints("last").save(tf.train.Checkpoint(x=tf.Variable(1)), 3, {})
            with pytest.raises(UserError, match=r"Another training has taken over ram://.*process"):
                workdir.checkpoints("last")
    assert workdir.steps_done == 3
