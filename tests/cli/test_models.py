import json
import shutil

import pytest
import soundfile

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


def test_without_a_model_one_of_the_package_hears(model, tmp_path):
    note = "int4-conformer: The model 'commands' of the package hears; name another in front.\n"
    one = commands.run("transcribe", CLIPS[0])
    assert (one.out, one.err) == (f"{TEXTS[0]}\n", note)
    two = commands.run("transcribe", CLIPS[0], CLIPS[1])
    assert two.out == f"{CLIPS[0]}\t{TEXTS[0]}\n{CLIPS[1]}\t{TEXTS[1]}\n"
    # A model that was named is no audio, whatever it is.
    assert "There is no audio file a.wav" in commands.refusal("transcribe", box.MODEL, "a.wav")
    assert "model file no.tflite cannot be read" in commands.refusal(
        "transcribe", "no.tflite", "a.wav"
    )
    shutil.copy(box.MODEL, tmp_path / "copy")
    assert commands.run("transcribe", tmp_path / "copy", CLIPS[0]).out == one.out


def test_open_vocabulary_is_heard_where_there_is_a_model_of_it(model, tmp_path, monkeypatch):
    assert box.put(tmp_path, monkeypatch, name="english").status == 0
    assert "'english' of the package hears" in commands.run("transcribe", CLIPS[0]).err


def test_without_models_one_has_to_be_named(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    assert "transcribe takes a MODEL and audio FILEs" in commands.refusal("transcribe", CLIPS[0])


def test_two_names():
    assert "models takes one NAME or none. Received: 2 arguments" in commands.refusal(
        "models", "commands", "english"
    )
