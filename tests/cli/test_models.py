import json
import shutil

import pytest
import soundfile

from int4_conformer.cli.usual_model import with_usual_model
from int4_conformer.pretrained import registry
from tests.batch.kit import CLIPS, TEXTS
from tests.support import box, commands


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The size of `commands`, the one model of the package."""
    monkeypatch.chdir(tmp_path)
    assert box.put(tmp_path, monkeypatch).status == 0
    return box.MODEL.stat().st_size


def test_the_list(model):
    assert commands.run("models").out == (
        f"name        bytes  streams  hears\ncommands  {model:,}  yes      four commands\n"
    )
    (facts,) = json.loads(commands.run("models", "--json").out)["models"]
    assert (facts["name"], facts["bytes"], facts["streams"]) == ("commands", model, True)


def test_an_empty_list(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    assert commands.run("models").out == "No models come with this version.\n"
    assert json.loads(commands.run("models", "--json").out) == {"models": []}


def test_a_card(model):
    assert commands.run("models", "commands").out == box.CARD
    facts = json.loads(commands.run("models", "commands", "--json").out)
    assert facts["card"] == box.CARD
    assert facts["file"] == str(registry.FOLDER / "commands.tflite")


def test_a_name_stands_for_a_file(model, tmp_path):
    assert commands.run("transcribe", "commands", CLIPS[0]).out == f"{TEXTS[0]}\n"
    assert f"{registry.FOLDER / 'commands.tflite'}" in commands.run("inspect", "commands").out
    recording = tmp_path / "a.wav"
    soundfile.write(recording, *soundfile.read(CLIPS[0]))
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"audio": "a.wav", "text": TEXTS[0]}))
    result = commands.run("evaluate", "commands", "--manifest=corpus.jsonl", "--against=commands")
    assert "difference        +0.00 points" in result.out, result.err
    result = commands.run("transcribe_many", "commands", recording, "--output=out", "--workers=1")
    assert result.status == 0, result.err
    assert any(TEXTS[0] in shard.read_text() for shard in (tmp_path / "out").rglob("*.jsonl"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("transcribe", "comands", "a.wav"),
        ("evaluate", "comands", "--manifest=corpus.jsonl"),
        ("evaluate", "commands", "--manifest=corpus.jsonl", "--against=comands"),
        ("serve", "comands"),
        ("transcribe_many", "comands", "a.wav", "--output=out"),
        ("verify", "comands", "--against=run"),
        ("models", "comands"),
        ("inspect", "comands"),
    ],
    ids=" ".join,
)
def test_unknown_names(model, arguments):
    line = commands.refusal(*arguments)
    assert "'comands' (did you mean commands?); the " in line


def test_a_file_of_that_name_is_meant(model, tmp_path):
    shutil.copy(CLIPS[0], tmp_path / "commands")
    assert "commands is not a TFLite model" in commands.refusal("transcribe", "commands", "a.wav")


NOTE = "int4-conformer: hearing with the model 'commands'; `transcribe MODEL FILE` takes another.\n"


def test_without_a_model_one_of_the_package_hears(model, tmp_path):
    one = commands.run("transcribe", CLIPS[0])
    assert (one.out, one.err) == (f"{TEXTS[0]}\n", NOTE)
    two = commands.run("transcribe", CLIPS[0], CLIPS[1])
    assert two.out == f"{CLIPS[0]}\t{TEXTS[0]}\n{CLIPS[1]}\t{TEXTS[1]}\n"
    absent = commands.run("transcribe", "absent.wav")
    assert absent.status == 2
    assert "There is no audio file absent.wav; check the path." in absent.err
    # What is named first is a model, if it does not look like a recording.
    assert "There is no audio file a.wav" in commands.refusal("transcribe", box.MODEL, "a.wav")
    shutil.copy(CLIPS[0], tmp_path / "model.onnx")
    assert "is not a TFLite model" in commands.refusal("transcribe", "model.onnx", CLIPS[0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["-"], ["commands", "-"]),
        (["A.WAV", "b.mp3"], ["commands", "A.WAV", "b.mp3"]),
        (["commands", "a.wav"], ["commands", "a.wav"]),
        (["run", "a.wav"], ["run", "a.wav"]),
        ([], []),
    ],
)
def test_which_arguments_begin_with_a_model(model, given, expected):
    assert with_usual_model(given) == expected
    assert with_usual_model(given, is_live=True) == (expected or ["commands"])


def test_open_vocabulary_is_heard_where_there_is_a_model_of_it(model, tmp_path, monkeypatch):
    assert box.put(tmp_path, monkeypatch, name="english").status == 0
    assert "hearing with the model 'english'" in commands.run("transcribe", CLIPS[0]).err


def test_without_models_one_has_to_be_named(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    assert with_usual_model(["a.wav"], is_live=True) == ["a.wav"]
    assert "transcribe takes a MODEL and audio FILEs" in commands.refusal("transcribe", CLIPS[0])


def test_two_names():
    assert "models takes one NAME or none. Received: 2 arguments" in commands.refusal(
        "models", "commands", "english"
    )
