import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from int4_conformer.cli import main
from tests.support import tflite_models


def run(*arguments):
    with pytest.raises(SystemExit) as exit_info:
        main.main(["transcribe", *map(str, arguments)])
    return exit_info.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transcribe")
    (folder / "recognizer.tflite").write_bytes(tflite_models.recognizer())
    soundfile.write(folder / "one.wav", tflite_models.pcm([1, 2, 3]), 16000)
    stereo = np.stack([tflite_models.pcm([3, 3]), tflite_models.pcm([0, 0], 0)], axis=1)
    soundfile.write(folder / "two.flac", stereo, 16000)
    return folder


def test_one_file_is_its_text(capsys, folder):
    assert not run(folder / "recognizer.tflite", folder / "one.wav", "--num_threads=2")
    assert capsys.readouterr().out == "ab c\n"


def test_several_files_are_named(capsys, folder):
    one, two = folder / "one.wav", folder / "two.flac"
    assert not run(folder / "recognizer.tflite", one, two)
    assert capsys.readouterr().out == f"{one}\tab c\n{two}\tc c\n"


def test_words_are_lines(capsys, folder):
    one, two = folder / "one.wav", folder / "two.flac"
    assert not run(folder / "recognizer.tflite", one, "--words")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[1], line[3]) for line in lines] == [
        ("0.00", "0.08", "ab"),
        ("0.08", "0.12", "c"),
    ]
    assert all(0.9 < float(line[2]) <= 1 for line in lines)
    assert not run(folder / "recognizer.tflite", one, two, "--words")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[4]) for line in lines] == [
        *((str(one), word) for word in ("ab", "c")),
        *((str(two), word) for word in ("c", "c")),
    ]


def test_json_is_an_object_a_file(capsys, folder):
    paths = [str(folder / "one.wav"), str(folder / "two.flac")]
    assert not run(folder / "recognizer.tflite", *paths, "--json")
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(found["audio"], found["text"]) for found in objects] == list(
        zip(paths, ["ab c", "c c"], strict=True)
    )
    (first, second), _ = (found["words"] for found in objects)
    assert (first["text"], first["start"], first["end"]) == ("ab", 0.0, 0.08)
    assert (second["text"], second["start"], second["end"]) == ("c", 0.08, 0.12)
    assert 0.9 < first["confidence"] <= 1


def test_refusals(capsys, folder):
    model = folder / "recognizer.tflite"
    for arguments, line in [
        ([], "transcribe takes a MODEL and audio FILEs. Received: 0 arguments"),
        ([model], "transcribe takes a MODEL and audio FILEs. Received: 1 arguments"),
        ([folder / "one.wav", folder / "one.wav"], "one.wav is not a TFLite model"),
        ([model, folder / "absent.wav"], "There is no audio file"),
        ([model, model], "recognizer.tflite cannot be decoded as audio"),
        ([model, folder / "one.wav", "--num_threads=0"], "flag --num_threads=0"),
        (
            [model, folder / "one.wav", "--stream", "--json"],
            "--stream, --words and --json exclude each other; give one of them.",
        ),
    ]:
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert line in captured.err


def test_folders_in_place_of_a_model(capsys, folder, tmp_path):
    (tmp_path / "my run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "saved_model.pb").touch()
    for model, line in [
        (
            tmp_path / "my run",
            "my run is a training folder; make a file of it first: int4-conformer export "
            f"'{tmp_path / 'my run'}' --output=model.tflite",
        ),
        (tmp_path / "served", "served is a SavedModel, which TensorFlow runs; export a .tflite"),
        (tmp_path, "is a folder; give a .tflite file."),
    ]:
        assert run(model, folder / "one.wav") == 2
        assert line in capsys.readouterr().err


def test_it_runs_without_tensorflow(folder):
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None); "
        "from int4_conformer.cli import main; main.main(['transcribe', *sys.argv[1:]])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, folder / "recognizer.tflite", folder / "one.wav"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "ab c\n"
