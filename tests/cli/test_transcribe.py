import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from int4_conformer.cli import main
from int4_conformer.errors import UserError
from int4_conformer.lite import Recognizer
from int4_conformer.pretrained import registry
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


def test_refusals(capsys, folder, monkeypatch):
    # Without a model, one of the package would hear.
    monkeypatch.setattr(registry, "FOLDER", folder)
    model = folder / "recognizer.tflite"
    for arguments, line in [
        ([], "transcribe takes a MODEL and audio FILEs. Received: 0 arguments"),
        ([model], "transcribe takes a MODEL and audio FILEs. Received: 1 arguments"),
        ([folder / "one.wav", folder / "one.wav"], "one.wav is not a TFLite model"),
        ([model, folder / "absent.wav"], "There is no audio file"),
        ([model, model], "recognizer.tflite cannot be decoded as audio"),
        ([model, folder / "one.wav", "--num_threads=0"], "flag --num_threads=0"),
        (
            [model, folder / "one.wav", "--words", "--json"],
            "--words, --json, --srt and --vtt exclude each other; give one of them.",
        ),
    ]:
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert line in captured.err


@pytest.mark.parametrize("mode", [[], ["--words"], ["--json"]], ids=str)
def test_a_bad_file_does_not_stop_the_others(capsys, folder, tmp_path, mode):
    one, two, page = folder / "one.wav", folder / "two.flac", tmp_path / "page.mp3"
    page.write_text("<html>" + 99 * "not found ")
    absent = tmp_path / "absent.wav"
    assert not run(folder / "recognizer.tflite", one, two, *mode)
    good = capsys.readouterr()
    assert good.err == ""
    assert run(folder / "recognizer.tflite", page, one, absent, two, *mode) == 2
    captured = capsys.readouterr()
    assert captured.out == good.out
    assert [line.removeprefix("int4-conformer: ") for line in captured.err.splitlines()] == [
        f"{page} is not audio: it is a web page or XML; download the file again.",
        f"There is no audio file {absent}; check the path.",
        "2 of 4 files could not be recognised.",
    ]


def test_a_bad_file_does_not_stop_streams(capsys, tmp_path):
    fixtures = Path(__file__).parents[1] / "compatibility" / "v0_1"
    model, good = fixtures / "cascade.tflite", fixtures / "clips" / "0.flac"
    (tmp_path / "bad.wav").write_text("text")
    assert not run(model, good, good, "--stream")
    alone = capsys.readouterr()
    assert run(model, good, tmp_path / "bad.wav", good, "--stream") == 2
    captured = capsys.readouterr()
    assert captured.out == alone.out
    assert captured.err.splitlines()[-1].endswith("1 of 3 files could not be recognised.")


def test_what_is_odd_is_told_once_a_file(capsys, folder, tmp_path):
    cut = tmp_path / "cut.wav"
    content = (folder / "one.wav").read_bytes()
    cut.write_bytes(content[: 44 + 2 * 2 * tflite_models.BLOCK_SAMPLES])
    assert not run(folder / "recognizer.tflite", cut)
    assert capsys.readouterr() == (
        "ab\n",
        f"int4-conformer: {cut} ends early: its header promises 0.12 s, 0.08 s came.\n",
    )


def test_samples_far_out_of_range_are_refused_as_by_the_recogniser(capsys, folder, tmp_path):
    samples = 32767 * tflite_models.pcm([1, 2, 3])
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    assert run(folder / "recognizer.tflite", tmp_path / "a.wav") == 2
    sentence = capsys.readouterr().err.removeprefix(f"int4-conformer: {tmp_path / 'a.wav'}")
    with pytest.raises(UserError) as refusal:
        Recognizer(folder / "recognizer.tflite").transcribe(samples)
    assert str(refusal.value) == f"`samples`{sentence.removesuffix(chr(10))}"


def test_a_channel_is_chosen(capsys, folder, tmp_path):
    path = tmp_path / "a.wav"
    quiet, loud = tflite_models.pcm([1, 2, 3], 0.1), tflite_models.pcm([3, 3, 3], 0.6)
    soundfile.write(path, np.stack([quiet, loud], axis=1), 16000)
    for channel, text in (("mix", "c c c"), ("left", "ab c"), ("right", "c c c"), ("1", "ab c")):
        assert not run(folder / "recognizer.tflite", path, f"--channel={channel}")
        assert capsys.readouterr() == (f"{text}\n", "")
    assert run(folder / "recognizer.tflite", path, "--channel=3") == 2
    assert "has no channel '3'; it has 2" in capsys.readouterr().err
    assert run(folder / "recognizer.tflite", path, "--channel=both") == 2
    assert "`channel` must be mix, left, right or a number" in capsys.readouterr().err


def test_steady_noise_has_words_without_the_gate(capsys, folder, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tflite_models.pcm([1] * 25), 16000)
    for flags, text in (([], ""), (["--nogate"], " ".join("a" * 25))):
        assert not run(folder / "recognizer.tflite", path, *flags)
        assert capsys.readouterr() == (f"{text}\n", "")


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
