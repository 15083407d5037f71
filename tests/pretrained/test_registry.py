import os

import pytest

from int4_conformer.errors import UserError
from int4_conformer.files import sha256_of
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.pretrained import registry
from int4_conformer.pretrained.registry import (
    model_file,
    named_file,
    pretrained_model,
    pretrained_models,
)
from tests.support import box


@pytest.fixture
def put(tmp_path, monkeypatch):
    """A function that puts a file into a folder that takes the place of the package's."""
    monkeypatch.chdir(tmp_path)
    return lambda *given, **named: box.put(tmp_path, monkeypatch, *given, **named)


def test_the_models_of_the_package_are_whole_and_small():
    models = pretrained_models().values()
    assert sum(model.file.stat().st_size for model in models) <= registry.MOST_BYTES
    for model in models:
        recognizer = Recognizer.from_preset(model.name)
        assert model.bytes == model.file.stat().st_size
        assert model.streams == recognizer.hears_streams
        assert model.hears
        assert model.card.startswith("# ")
    known = {f"{name}{ending}" for name in pretrained_models() for ending in (".md", ".tflite")}
    found = {path.name for path in registry.FOLDER.iterdir() if path.suffix in (".md", ".tflite")}
    assert found == known


def test_an_added_model_is_found_by_its_name(put):
    result = put()
    assert result.status == 0, result.err
    size = box.MODEL.stat().st_size
    assert result.out == f"commands: {size:,} bytes of 8,000,000, {size:,} with others.\n"
    (model,) = pretrained_models().values()
    assert (model.name, model.hears, model.streams) == ("commands", "four commands", True)
    assert (model.bytes, model.sha256) == (size, sha256_of(box.MODEL))
    assert model.card == box.CARD
    assert model_file("commands") == named_file("commands") == str(model.file)
    assert Recognizer.from_preset("commands", gated=False).hears_streams


def test_a_model_takes_the_place_of_an_earlier_one(put, monkeypatch):
    put()
    monkeypatch.setattr(registry, "MOST_BYTES", box.MODEL.stat().st_size)
    assert put().status == 0
    assert list(pretrained_models()) == ["commands"]


def test_what_is_there_counts_before_a_name(put):
    put()
    for path in ("other.tflite", "gs://bucket/commands", "./commands"):
        assert model_file(path) == path
    os.mkdir("commands")
    assert model_file("commands") == named_file("commands") == "commands"


def test_unknown_names(put):
    put()
    assert named_file("comands") == "comands"
    message = (
        r"There is no model 'comands' \(did you mean commands\?\); the models that come with the "
        r"package are commands\."
    )
    with pytest.raises(UserError, match=r"is Recognizer\.from_preset\('commands'\)\."):
        Recognizer("commands")
    for call in (model_file, pretrained_model, Recognizer.from_preset):
        with pytest.raises(UserError, match=message):
            call("comands")


def test_without_models(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    assert pretrained_models() == {}
    with pytest.raises(UserError, match=r"no models come with this version; give a \.tflite file"):
        model_file("commands")


def test_a_damaged_file(put):
    put()
    (registry.FOLDER / "commands.tflite").write_bytes(b"")
    with pytest.raises(UserError, match=r"'commands' is missing or damaged .*; install"):
        model_file("commands")


@pytest.mark.parametrize(
    ("given", "limit", "message"),
    [
        ({"name": "../commands"}, 10**9, "has lower-case letters, digits and underscores alone"),
        ({}, 1000, "the models of the package would have 258,392 bytes, and may have 1,000"),
        ({"model": __file__}, 10**9, "is not a TFLite model"),
    ],
)
def test_what_is_not_added(put, monkeypatch, given, limit, message):
    monkeypatch.setattr(registry, "MOST_BYTES", limit)
    result = put(**given)
    assert result.status == 2
    assert message in result.err
    assert not registry.FOLDER.exists()
