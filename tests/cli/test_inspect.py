import json
import re
import shutil

import pytest

from int4_conformer.cli import main
from int4_conformer.models.presets import PRESETS
from tests.support import commands, tflite_models


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
    assert re.search(r"\nweights, int4 +1 +2,560 +1,280\n", out)


def test_json(path, tmp_path):
    assert not run(path, f"--json={tmp_path / 'facts.json'}")
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["total_bytes"] == path.stat().st_size
    assert facts["parameters"] == 2593
    assert len(facts["tensors"]) == sum(total["tensors"] for total in facts["totals"])
    assert {file.name for file in tmp_path.iterdir()} == {"recognizer.tflite", "facts.json"}


def test_a_page(path, tmp_path, capfd):
    page = tmp_path / "page.html"
    assert not run(path, f"--html={page}")
    # What LiteRT tells of itself, too, is held back.
    assert not capfd.readouterr().err
    text = page.read_text()
    assert re.findall("<h2>(.*?)</h2>", text) == [
        *("What its bytes are for", "Bytes of the largest weights", "Codes", "Operators"),
        "Kernels",
    ]
    assert f"{path.stat().st_size:,}" in text
    assert "2,560 codes of 1 weights" in text
    # Of the kernels that ran, by XNNPACK's name.
    assert "Fully Connected (NC, QD8, F32, QC4W)" in text
    assert not re.search(r"(src|href)=", text)


def test_a_page_is_of_a_file(tmp_path):
    assert "--html is for a .tflite file" in commands.refusal("inspect", "tiny", "--html=a.html")


def test_preset(capsys, tmp_path):
    facts = tmp_path / "facts.json"
    assert not run("cascaded_tiny", "--vocab_size=30", "--recipe=w4b32_a8d", f"--json={facts}")
    text = capsys.readouterr().out
    facts = json.loads(facts.read_text())
    assert facts["vocab_size"] == 30
    parts = [part["name"] for part in facts["parts"]]
    assert parts == ["front_end", "encoder", "second_pass", "predictor", "joint"]
    assert facts["parameters"] == sum(part["parameters"] for part in facts["parts"])
    nbytes = facts["bytes"]
    assert nbytes["float32"] == 4 * facts["parameters"]
    assert nbytes["int4"] < nbytes["w4b32_a8d"] < nbytes["mixed"] < nbytes["int8"]
    assert re.search(rf"\nall +{facts['parameters']:,} +{nbytes['float32']:,} ", text)
    # 2 blocks, each with 14 frames under the kernel and 32 before; 15 ms of the window.
    assert re.search(r"\n1     40 ms +3,695 ms +0 ms +20 ms +40 ms\n", text)
    assert facts["passes"][1]["future"] == [0, 600]


def test_preset_that_sees_all(capsys, tmp_path):
    facts = tmp_path / "facts.json"
    assert not run("tiny", f"--json={facts}")
    assert json.loads(facts.read_text())["passes"][0]["longest"] is None
    assert re.search(r"\n1     40 ms +all +all +all +all\n", capsys.readouterr().out)


def test_a_training_folder(trained, tmp_path):
    folder = tmp_path / "my run"
    shutil.copytree(trained.workdir, folder)
    result = commands.run("inspect", folder, f"--json={tmp_path / 'facts.json'}")
    assert result.status == 0, result.err
    assert result.out == (
        f"{folder}, a training folder\n"
        "model: test, recipe w4a8, 4 symbols (graphemes)\n"
        "checkpoints: best of step 4, last of step 4\n"
        "settings: steps=4, batch_seconds=1.0, buckets=1, warmup=1, average=1, evaluate_every=2\n"
    )
    assert f"next:\n  int4-conformer export '{folder}' --output=model.tflite\n" in result.err
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["model"]["vocab_size"] == 4
    assert facts["checkpoints"]["last"][-1] == 4
    shutil.rmtree(folder / "checkpoints")
    begun = commands.run("inspect", folder)
    assert "\ncheckpoints: none yet\n" in begun.out
    assert "next:" not in begun.err


def test_refusals(capsys, path, tmp_path):
    for arguments, line in [
        ([], "inspect takes one FILE, NAME, WORKDIR or PRESET. Received: 0 arguments"),
        ([path, path], "inspect takes one FILE, NAME, WORKDIR or PRESET. Received: 2 arguments"),
        (["tinny"], "There is no file, folder or preset 'tinny' (did you mean tiny?); the preset"),
        (["tinny", "--recipe=w8a8"], "preset 'tinny' (did you mean tiny?)"),
        ([tmp_path / "absent"], f"absent'; the presets are {', '.join(PRESETS)}."),
        ([tmp_path], "is a folder; give a .tflite file."),
        ([path, "--vocab_size=30"], "are for presets (tiny, conformer_s, "),
        ([path, "--recipe=w8a8"], "are for presets (tiny, conformer_s, "),
        (["tiny", "--recipe=w1"], "Unknown recipe 'w1'"),
        (["tiny", "--vocab_size=1"], "flag --vocab_size=1"),
        ([path, f"--json={path}/facts.json"], "recognizer.tflite is no folder"),
    ]:
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert line in captured.err
