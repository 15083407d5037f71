"""What a file lacks that is whole for TFLite, but no recogniser that can be run."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_quantizer import model_modifier

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.tflite import flatbuffer, metadata
from tests.support import tflite_models

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "damaged_files.py"


def written(folder, change=lambda model: None, **facts):
    """A file after `change` of its parsed model, with other metadata."""
    model = flatbuffer.load(tflite_models.float_model())
    change(model)
    metadata.attach(model, dataclasses.replace(tflite_models.facts(), **facts))
    path = folder / "a.tflite"
    path.write_bytes(metadata.seal(bytes(model_modifier.ModelModifier(model).modify_model({}))))
    return path


def rename(model, old, new):
    (signature,) = model.signatureDefs
    if signature.signatureKey == old.encode():
        signature.signatureKey = new.encode()
    for end in (*signature.inputs, *signature.outputs):
        if end.name == old.encode():
            end.name = new.encode()


def test_an_honest_file(tmp_path):
    file = RecognizerFile(written(tmp_path))
    assert file.signatures == (interface.SERVING_DEFAULT,)
    assert file.inputs(interface.SERVING_DEFAULT).keys() == {interface.PCM}
    outputs = file.run(interface.SERVING_DEFAULT)(pcm=tflite_models.pcm([1, 2]))
    assert outputs[interface.TOKENS][: outputs[interface.COUNT]].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (interface.SERVING_DEFAULT, "other", "it lacks serving_default"),
        (interface.PCM, "sound", r"serving_default takes \['sound'\]"),
        (interface.TOKENS, "labels", "serving_default lacks tokens"),
        (interface.LOG_PROBS, "scores", "serving_default lacks log_probs"),
        (interface.FRAMES, "log_probz", "serving_default lacks frames"),
    ],
)
def test_other_names(tmp_path, old, new, reason):
    path = written(tmp_path, lambda model: rename(model, old, new))
    with pytest.raises(UserError, match=rf"a\.tflite is a .*damaged .* \({reason}\); copy or"):
        RecognizerFile(path)


@pytest.mark.parametrize("output", [interface.LENGTH, interface.ENCODED])
def test_a_stream_gives_what_the_second_pass_takes(tmp_path, output):
    cascade = Path(__file__).parents[1] / "compatibility" / "v0_1" / "cascade.tflite"
    model = flatbuffer.load(cascade.read_bytes())
    (first,) = (x for x in model.signatureDefs if x.signatureKey == b"first_pass")
    (renamed,) = (x for x in first.outputs if x.name == output.encode())
    renamed.name = b"other"
    path = tmp_path / "a.tflite"
    path.write_bytes(metadata.seal(bytes(model_modifier.ModelModifier(model).modify_model({}))))
    with pytest.raises(UserError, match=rf"first_pass lacks {output}"):
        RecognizerFile(path)


def test_names_that_are_swapped(tmp_path):
    def swap(model):
        rename(model, interface.TOKENS, "other")
        rename(model, interface.LOG_PROBS, interface.TOKENS)
        rename(model, "other", interface.LOG_PROBS)

    with pytest.raises(UserError, match="tokens of serving_default is of another kind"):
        RecognizerFile(written(tmp_path, swap))


def test_metadata_of_another_file(tmp_path):
    with pytest.raises(UserError, match=r"serving_default takes \['pcm'\]"):
        RecognizerFile(written(tmp_path, fixed_samples=6400))


def test_what_litert_refuses_when_it_runs(tmp_path):
    file = RecognizerFile(written(tmp_path))
    with pytest.raises(
        UserError, match=r"LiteRT cannot run .*a\.tflite \(.*\); the file is damaged"
    ):
        file.run(interface.SERVING_DEFAULT)(pcm=np.zeros(641, np.float32))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"sample_rate": 16000', b'"sample_rate": "160"'),
        (b'"block_samples": 640', b'"block_samples": 6e1'),
        (b'"block_samples": 640', b'"block_samplez": 640'),
        (b'"<blank>"', b'"<blanc>"'),
        (b'"delegate": "xnnpack"', b'"delegate": "xnnpacc"'),
        (b'"format": 1', b'"format": "'),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path, old, new):
    path = written(tmp_path)
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(metadata.seal(content.replace(old, new)))
    with pytest.raises(UserError, match=r"damaged TFLite model \(its metadata cannot be read\)"):
        RecognizerFile(path)


def test_damaged_files_bring_no_process_down(tmp_path):
    """The short form of benchmarks/damaged_files.py."""
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.recognizer())
    command = [sys.executable, PROGRAM, path, "--files=200", "--processes=1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines()]
    name, files, refused, works, *bad = rows[-1]
    assert name == "all"
    assert 150 < int(files) == int(refused) + int(works)
    assert int(refused) > 100
    assert bad == ["0", "0", "0"]
