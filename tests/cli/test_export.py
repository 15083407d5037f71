import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from int4_conformer.cli.export import next_version
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.tables import smaller
from int4_conformer.tflite.inspection import inspect_tflite
from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny

PROGRAMS = Path(__file__).resolve().parents[2] / "export"


def test_a_file_with_the_integers_of_training(trained, exported_run):
    output, result = exported_run
    assert result.status == 0, result.err
    size = output.stat().st_size
    ratio = 4 * trained.trainer.model.count_params() / size
    assert result.out == (
        f"{output}: {size:,} bytes, {smaller(ratio)} than its weights in float32\n"
    )
    assert list(output.parent.iterdir()) == [output]
    recognizer = Recognizer(output)
    assert recognizer.metadata.recipe == "w4a8"
    model, tokenizer = Workdir(trained.workdir).load()
    assert recognizer.vocabulary == tokenizer.vocabulary
    pcm = tiny.speech(20)
    np.testing.assert_array_equal(recognizer.tokens(pcm), tiny.recognition(model)(pcm))


def test_the_programs_are_the_command_and_give_what_was_asked_for(trained, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "best")
    output = tmp_path / "models" / "float.tflite"
    flags = [f"--output={output}", "--recipe=float", "--blank_penalty=1.5"]
    line = commands.refusal("export", workdir, *flags, "--checkpoint=best", begun=True)
    assert "has no checkpoint yet (best)" in line
    environment = os.environ | {"PYTHONPATH": str(PROGRAMS.parent)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    result = subprocess.run(
        [sys.executable, PROGRAMS / "to_tflite.py", workdir, *flags, "--checkpoint=last"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    facts = inspect_tflite(output)
    assert facts.metadata.recipe == "float"
    assert facts.metadata.model["blank_penalty"] == 1.5
    assert {total.dtype for total in facts.totals} <= {"float32", "int32", "int64", "bool"}
    assert f"{output}: {output.stat().st_size:,} bytes" in result.stdout
    # What libraries say of themselves is not for the user.
    ours = r"(starting TensorFlow|reading the model|exporting)( \(.*|: done in .*)?"
    lines = [line for line in result.stderr.splitlines() if not re.fullmatch(ours, line)]
    assert lines == [
        "next:",
        f"  int4-conformer transcribe {output} recording.wav",
        f"  int4-conformer verify {output} --against={workdir}",
    ]
    refused = subprocess.run(
        [sys.executable, PROGRAMS / "to_saved_model.py", f"--output={output}", "absent"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_a_saved_model(trained, tmp_path):
    folder = tmp_path / "recognizer"
    result = commands.run(
        "export", trained.workdir, f"--output={folder}", "--format=saved_model", "--max_seconds=2"
    )
    assert result.status == 0, result.err
    size = sum(file.stat().st_size for file in (folder / "1").rglob("*") if file.is_file())
    assert result.out.startswith(f"{folder / '1'}: {size:,} bytes, ")
    assert (folder / "1" / "saved_model.pb").is_file()


def test_each_export_is_a_new_version(tmp_path):
    folder = tmp_path / "recognizer"
    assert next_version(folder) == folder / "1"
    for name in ("2", "10", "9", "draft", ".partial3"):
        (folder / name).mkdir(parents=True)
    assert next_version(folder) == folder / "11"
    assert next_version(folder / "3") == folder / "3"


def test_refusals(trained, tmp_path):
    (tmp_path / "there" / "2").mkdir(parents=True)
    (tmp_path / "untrained").mkdir()
    shutil.copy(trained.workdir / "config.json", tmp_path / "untrained")
    shutil.copytree(trained.workdir, tmp_path / "one_bit")
    config = tmp_path / "one_bit" / "config.json"
    config.write_text(config.read_text().replace('"weight_bits": 4', '"weight_bits": 1'))
    given = [f"--output={tmp_path / 'm.tflite'}"]
    before = sorted(tmp_path.rglob("*"))
    for arguments, line in [
        (given, "export takes one WORKDIR. Received: 0 arguments"),
        ([trained.workdir, "more", *given], "export takes one WORKDIR. Received: 2 arguments"),
        ([tmp_path, *given], "is no training folder: it has no config.json"),
        ([tmp_path / "absent", *given], "is no training folder: it has no config.json"),
        ([tmp_path / "untrained", *given], "has no checkpoint yet (best or last)"),
        ([tmp_path / "one_bit", *given], "`bits` must be a whole number in 2..8. Received: bits=1"),
        ([trained.workdir], "--output"),
        ([trained.workdir, *given, "--recipe=w1"], "Unknown recipe 'w1'; choose one of float"),
        ([trained.workdir, *given, "--format=onnx"], "flag --format=onnx"),
        ([trained.workdir, *given, "--blank_penalty=nan"], "`blank_penalty` must be finite"),
        ([trained.workdir, *given, "--checkpoint=first"], "flag --checkpoint=first"),
        ([trained.workdir, f"--output={tmp_path}"], "is a folder; name the file to write"),
        ([trained.workdir, "--output="], "export needs --output; "),
        ([trained.workdir, f"--output={trained.manifest}/m"], "manifest.jsonl is no folder"),
        (
            [trained.workdir, f"--output={tmp_path}/there/2", "--format=saved_model"],
            "2 exists already; choose another folder",
        ),
    ]:
        assert line in commands.refusal("export", *arguments, begun=True)
    assert sorted(tmp_path.rglob("*")) == before
