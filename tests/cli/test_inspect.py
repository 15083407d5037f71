import json

import pytest

from int4_conformer.cli import main
from tests import tflite_models


def run(*arguments):
    with pytest.raises(SystemExit) as exit_info:
        main.main(["inspect", *map(str, arguments)])
    return exit_info.value.code


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    return path


def test_table(capsys, path):
    assert not run(path)
    out = capsys.readouterr().out
    assert f"{path}, recipe int4\n" in out
    assert "int4           1   2,560  1,280\n" in out


def test_json(path, tmp_path):
    assert not run(path, "--json", tmp_path / "facts.json")
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["total_bytes"] == path.stat().st_size
    assert facts["parameters"] == 2593
    assert len(facts["tensors"]) == sum(total["tensors"] for total in facts["totals"])
    assert {file.name for file in tmp_path.iterdir()} == {"recognizer.tflite", "facts.json"}


def test_refusals(capsys, path, tmp_path):
    for arguments, line in [
        ([], "inspect takes one MODEL. Received: 0 arguments"),
        ([path, path], "inspect takes one MODEL. Received: 2 arguments"),
        ([tmp_path / "absent"], "absent cannot be read"),
        ([path, f"--json={tmp_path}/absent/facts.json"], "facts.json cannot be written: there"),
    ]:
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert line in captured.err
