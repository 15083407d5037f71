from tests.support import commands


def test_a_folder_of_someone_elses_is_kept(tmp_path):
    mine = tmp_path / "train" / "recording.wav"
    mine.parent.mkdir()
    mine.touch()
    line = commands.refusal("demo", f"--output={tmp_path}")
    assert "train is no training folder: it has no config.json" in line
    assert mine.exists()


def test_refusals(tmp_path):
    (tmp_path / "file").touch()
    assert "file is a file; name a folder" in commands.refusal("demo", f"--output={tmp_path}/file")
    assert "demo takes flags only. Received: 'x'" in commands.refusal("demo", "x")
