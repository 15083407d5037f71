import json
import re
import shutil

import pytest
from ai_edge_quantizer import model_modifier

from int4_conformer.tflite import flatbuffer, metadata
from tests.support import commands


@pytest.fixture(scope="module")
def verified(trained, exported_run, tmp_path_factory):
    """What the command says of an honest file, on the screen and in JSON."""
    path, _ = exported_run
    output = tmp_path_factory.mktemp("verified") / "verified.json"
    corpus = [f"--manifest={trained.manifest}", "--split=dev"]
    against = f"--against={trained.workdir}"
    result = commands.run("verify", path, against, f"--json={output}", *corpus)
    return result, json.loads(output.read_text())


def test_an_honest_file(trained, exported_run, verified):
    path, _ = exported_run
    result, _ = verified
    assert result.status == 0, result.err
    kind = r"checkpoint (best|last) of step \d+, recipe w4a8"
    head = re.escape(f"{path} against {trained.workdir}")
    assert re.search(f"^{head}, {kind}\n\n", result.out, re.MULTILINE)
    assert re.search(r"\nweights: \d+ of 4 bits, \d+ in float32: equal to the bit\n", result.out)
    assert re.search(r": \d+ on Fully Connected \(NC, Q\w+, F32, QC4W\)\n", result.out)
    assert "transcripts: 2 utterances, 2 of the same tokens\n" in result.out
    assert re.search(r"\nserving_default +\d+ +\d\.\de", result.out)
    assert result.out.endswith("\n\nNo difference.\n")


def test_json(verified):
    _, found = verified
    assert found["verified"] is True
    assert found["differences"] == found["weights"]["unequal"] == []
    assert found["weights"]["by_bits"].keys() == {"4"}
    assert found["transcripts"]["utterances"] == found["transcripts"]["equal"] == 2
    signatures = {x["signature"]: x for x in found["signatures"]}
    assert signatures["serving_default"]["agreement"]["codes"] > 1000
    assert signatures["serving_default"]["distance"] <= found["bounds"]["outputs"]


def changed(path, target):
    """Writes the file with one other code, and a checksum for it; returns the weight's name."""
    model = flatbuffer.load(path.read_bytes())
    names = [c for c in flatbuffer.constants(model) if c.dtype == "int4"]
    buffer = model.buffers[names[0].buffer]
    buffer.data = buffer.data.copy()
    buffer.data[0] ^= 1
    content = bytes(model_modifier.ModelModifier(model).modify_model({}))
    target.write_bytes(metadata.seal(content))
    return names[0].name.partition("@")[0]


def test_one_other_code(trained, exported_run, tmp_path):
    path = tmp_path / "changed.tflite"
    name = changed(exported_run[0], path)
    output = tmp_path / "found.json"
    result = commands.run("verify", path, f"--against={trained.workdir}", f"--json={output}")
    assert result.status == 1
    assert f"\ndifferent: codes of {name} differ\n" in result.out
    assert "No difference" not in result.out
    found = json.loads(output.read_text())
    assert found["verified"] is False
    assert found["weights"]["unequal"] == [name]


@pytest.mark.heavy
def test_another_recipe_and_another_penalty(trained, tmp_path):
    path = tmp_path / "float.tflite"
    export = ["export", trained.workdir, f"--output={path}", "--recipe=float", "--noverify"]
    assert commands.run(*export, "--blank_penalty=0.5").status == 0
    result = commands.run("verify", path, f"--against={trained.workdir}")
    assert result.status == 0, result.out
    assert "recipe float\n" in result.out
    assert "matmuls with integer weights: none\n" in result.out


def edited(workdir, target, before, after):
    """A copy of a training folder with another config."""
    shutil.copytree(workdir, target)
    config = target / "config.json"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    return target


def test_refusals(trained, exported_run, tmp_path):
    path, _ = exported_run
    wider = edited(trained.workdir, tmp_path / "wider", '"kernel_size": 5', '"kernel_size": 7')
    other = edited(trained.workdir, tmp_path / "other", '"charset": " ab"', '"charset": " ac"')
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(trained.workdir / "config.json", empty)
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(path.read_bytes()[:-100])
    against = f"--against={trained.workdir}"
    for arguments, line in [
        ([against], "verify takes one MODEL. Received: 0 arguments"),
        ([path, path, against], "verify takes one MODEL. Received: 2 arguments"),
        ([path], "verify needs --against"),
        ([path, against, "--split=dev"], "--split=dev needs --manifest"),
        ([tmp_path / "absent.tflite", against], "absent.tflite cannot be read"),
        ([trained.workdir, against], "is a training folder; make a file of it first"),
        ([damaged, against], "damaged.tflite is"),
        ([path, f"--against={tmp_path}"], "is no training folder: it has no config.json"),
        ([path, f"--against={empty}"], "has no checkpoint yet (best or last)"),
        (
            [path, f"--against={wider}"],
            f"{path} was not exported from {wider}: its model has encoder.kernel_size 5, that of "
            "the folder 7; name the folder that it came from.",
        ),
        (
            [path, f"--against={other}"],
            f"{path} was not exported from {other}: its vocabulary is not that of the folder; name",
        ),
        ([path, against, f"--json={tmp_path}"], "is a folder; name the file to write"),
        ([path, against, "--manifest=absent"], "There is no corpus absent"),
    ]:
        assert line in commands.refusal("verify", *arguments)


def test_a_file_of_other_weights(trained, exported_run):
    """Of the same model, trained for longer."""
    against = f"--against={trained.interrupted}"
    line = commands.refusal("verify", exported_run[0], against, begun=True)
    assert re.search(
        r"was not exported from the checkpoint \w+ of step \d+ of .*: none of its \d+ weights is "
        r"the same; name the folder that it came from, or --checkpoint\.",
        line,
    )
