import dataclasses

import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite import flatbuffer, metadata
from tests.support import tflite_models


@pytest.mark.parametrize("table_rows", [8, 20000], ids=["inline", "external"])
def test_read_gives_what_was_attached(table_rows):
    content = tflite_models.recognizer(table_rows=table_rows)
    assert metadata.read(content) == tflite_models.facts()


def test_a_large_vocabulary_is_stored_outside_the_flatbuffer():
    vocabulary = Vocabulary(pieces=("<blank>", *(f"▁piece{i}" for i in range(500))))
    facts = dataclasses.replace(tflite_models.facts(), vocabulary=vocabulary)
    model = flatbuffer.load(tflite_models.float_model(20000))
    metadata.attach(model, facts)
    content = metadata.seal(tflite_models.serialize(model))
    assert metadata.read(content) == facts


def test_a_recipe_of_an_earlier_version_has_its_name_of_today():
    model = flatbuffer.load(tflite_models.float_model())
    metadata.attach(model, dataclasses.replace(tflite_models.facts(), recipe="w4a8s"))
    assert metadata.read(metadata.seal(tflite_models.serialize(model))).recipe == "w4a8sym"


def test_sealing_changes_only_the_digest():
    model = flatbuffer.load(tflite_models.float_model())
    metadata.attach(model, tflite_models.facts())
    content = tflite_models.serialize(model)
    sealed = metadata.seal(content)
    changed = np.flatnonzero(np.frombuffer(content, np.uint8) != np.frombuffer(sealed, np.uint8))
    assert len(sealed) == len(content)
    assert changed.size > 0
    assert changed.max() - changed.min() < 64
    assert metadata.seal(sealed) == sealed


def test_every_damaged_byte_is_noticed():
    content = tflite_models.recognizer()
    generator = np.random.default_rng(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= generator.integers(1, 256)
        with pytest.raises(UserError):
            metadata.read(bytes(damaged), "model.tflite")


def test_every_truncation_is_noticed():
    content = tflite_models.recognizer()
    for length in range(len(content)):
        with pytest.raises(UserError):
            metadata.read(content[:length])


def test_a_damaged_weight_is_reported_as_damage():
    content = bytearray(tflite_models.recognizer(table_rows=20000))
    content[-100] ^= 1
    with pytest.raises(UserError, match=r"model\.tflite is damaged: its SHA-256"):
        metadata.read(bytes(content), "model.tflite")


def test_an_unsealed_file_is_refused():
    model = flatbuffer.load(tflite_models.float_model())
    metadata.attach(model, tflite_models.facts())
    with pytest.raises(UserError, match="is damaged"):
        metadata.read(tflite_models.serialize(model))


def test_a_foreign_model():
    content = tflite_models.float_model()
    assert metadata.find(content) is None
    with pytest.raises(UserError, match=r"other\.tflite is a TFLite model but not a recogniser"):
        metadata.read(content, "other.tflite")
    with pytest.raises(UserError, match="not a recogniser"):
        metadata.seal(content)


def test_a_newer_format(monkeypatch):
    model = flatbuffer.load(tflite_models.float_model())
    monkeypatch.setattr(metadata, "FORMAT", 2)
    metadata.attach(model, tflite_models.facts())
    content = metadata.seal(tflite_models.serialize(model))
    metadata.read(content)
    monkeypatch.setattr(metadata, "FORMAT", 1)
    with pytest.raises(UserError, match="format 2 and this version reads up to 1; upgrade"):
        metadata.read(content)


def test_attaching_twice_is_refused():
    model = flatbuffer.load(tflite_models.recognizer())
    with pytest.raises(UserError, match="has int4_conformer metadata already"):
        metadata.attach(model, tflite_models.facts())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, "`sample_rate` must be positive. Received: sample_rate=0"),
        ({"sample_rate": 10**8}, r"`sample_rate` must be in \[1, 1000000\]"),
        ({"block_samples": 2**23}, r"`block_samples` must be in \[1, 4194304\]"),
        ({"block_samples": -1}, "`block_samples` must be positive. Received: block_samples=-1"),
        ({"delegate": "gpu"}, "`delegate` must be one of xnnpack, none. Received: delegate='gpu'"),
    ],
)
def test_refused_facts(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(tflite_models.facts(), **change)
