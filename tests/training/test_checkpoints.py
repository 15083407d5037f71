import json

import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.training.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, keep=2)


def save(checkpoints, step, **facts):
    checkpoints.save(tf.train.Checkpoint(value=tf.Variable(float(step))), step, facts)


def value(prefix):
    variable = tf.Variable(0.0)
    tf.train.Checkpoint(value=variable).read(str(prefix)).assert_consumed()
    return variable.numpy()


def test_the_newest_are_kept_with_their_facts(checkpoints, tmp_path):
    for step in (8, 9, 10):
        save(checkpoints, step, losses=[step])
    latest = checkpoints.latest()
    assert latest.name == "step-10"
    assert value(latest) == 10
    assert checkpoints.facts(latest)["losses"] == [10]
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"step-9", "step-10"}


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001", "json"])
@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_a_damaged_one_gives_way_to_the_one_before(checkpoints, tmp_path, suffix, damage):
    save(checkpoints, 1)
    save(checkpoints, 2)
    file = tmp_path / f"step-2.{suffix}"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    assert value(checkpoints.latest()) == 1


def test_what_was_not_finished_is_removed(checkpoints, tmp_path):
    save(checkpoints, 1)
    (tmp_path / "step-2_temp").mkdir()
    (tmp_path / "step-2_temp" / "part").touch()
    (tmp_path / "step-2.index").touch()
    (tmp_path / "partial").mkdir()
    assert value(checkpoints.latest()) == 1
    save(checkpoints, 3)
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"step-1", "step-3"}


def test_those_of_earlier_versions_are_taken(checkpoints, tmp_path):
    checkpoint = tf.train.Checkpoint(value=tf.Variable(5.0))
    tf.train.CheckpointManager(checkpoint, str(tmp_path), 1, checkpoint_name="step").save(5)
    variable = tf.Variable(0.0)
    tf.train.Checkpoint(value=variable).read(str(checkpoints.latest())).expect_partial()
    assert variable.numpy() == 5
    assert checkpoints.facts(checkpoints.latest()) == {}


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device\n[Op:SaveV2]"),
    ],
)
def test_a_full_disk(checkpoints, tmp_path, monkeypatch, error):
    save(checkpoints, 1)
    before = sorted(tmp_path.iterdir())

    def write(self, prefix):
        raise error

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)
    message = (
        r"The checkpoint of step 2 cannot be written to .* \(No space left on device\); "
        r"step-1 is kept. Make room, and give the same command again."
    )
    with pytest.raises(UserError, match=message):
        save(checkpoints, 2)
    assert sorted(tmp_path.iterdir()) == before


def test_the_seal_comes_last(checkpoints, tmp_path, monkeypatch):
    save(checkpoints, 1)

    def fail(path, content):
        assert (tmp_path / "step-2.index").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("int4_conformer.training.checkpoints.write_beside", fail)
    with pytest.raises(KeyboardInterrupt):
        save(checkpoints, 2)
    assert value(checkpoints.latest()) == 1
    assert json.loads((tmp_path / "step-1.json").read_text())["sha256"].keys() == {
        "step-1.index",
        "step-1.data-00000-of-00001",
    }
