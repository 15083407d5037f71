import json
import re

import pytest

from int4_conformer.quant import Recipe
from int4_conformer.tflite.inspection import inspect_tflite
from tests.support import commands, running


@pytest.fixture(scope="module")
def suggested(trained, tmp_path_factory):
    """The recipe's file, and how the command ended."""
    output = tmp_path_factory.mktemp("suggested") / "recipe.json"
    # Sooner than compiled, as in tests/mixed_precision.
    with running.eagerly():
        result = commands.run(
            *("suggest", trained.workdir, f"--manifest={trained.manifest}", "--split=train"),
            *("--utterances=3", "--tolerance=0.02", f"--output={output}"),
        )
    return output, result


def test_it_ranks_the_layers(suggested):
    output, result = suggested
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    header = ["layer", "w2c_a8d", "w4c_a8d", "w8c_a8d", "suggested", "bytes"]
    assert header in [x.split() for x in lines]
    assert any(line.startswith("encoder/block_0/ffn_start/up ") for line in lines)
    assert re.search(r"error of the logits: [12]\.\d\d% measured", result.out)
    assert lines[-1] == f"recipe: {output}"
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.heavy
def test_its_recipe_is_exported_and_trained_with(suggested, trained, tmp_path):
    recipe = Recipe.load(suggested[0])
    file = tmp_path / "mixed.tflite"
    result = commands.run("export", trained.workdir, f"--output={file}", f"--recipe={suggested[0]}")
    assert result.status == 0, result.err
    facts = inspect_tflite(file)
    assert facts.metadata.recipe == recipe.name == "suggested"
    assert {"int4", "int8"} <= {total.dtype for total in facts.totals}
    # The folder holds another recipe: the file's has reached the trainer.
    line = commands.refusal(*trained.arguments, f"--recipe={suggested[0]}", "--preset=tiny")
    assert "model.recipe" in line


def test_refusals(trained, tmp_path):
    given = [f"--manifest={trained.manifest}", "--utterances=1"]
    for arguments, line in [
        (given, "suggest takes one WORKDIR. Received: 0 arguments"),
        ([trained.workdir], "--manifest"),
        ([trained.workdir, *given, "--schemes=w4,w8a8"], "'w4' names no scheme; write weights"),
        ([trained.workdir, *given, "--schemes="], "--schemes names no scheme; give some"),
        (
            [trained.workdir, *given, "--schemes=w4c_a8static"],
            "'w4c_a8static' has static activations",
        ),
        (
            [trained.workdir, *given, "--schemes=w4b32_a8d"],
            "Blocks of 32 do not divide the 16 inputs of",
        ),
        ([trained.workdir, *given, "--budget_mb=0.001"], "raise the budget"),
        ([trained.workdir, *given, "--budget_mb=-1"], "flag --budget_mb=-1"),
        ([trained.workdir, *given, "--utterances=0"], "flag --utterances=0"),
        ([trained.workdir, *given, "--split=test"], "has no split 'test'"),
        ([trained.workdir, *given, f"--output={tmp_path}"], "is a folder; name the file"),
        ([tmp_path, *given], "is no training folder"),
    ]:
        # Reading the model may take long enough to be said.
        assert line in commands.refusal("suggest", *arguments, begun=True)


def odd(*rules):
    return {"name": "odd", "rules": rules}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read (No such file or directory); check the path"),
        ("{", "is not JSON ("),
        ([], "holds no recipe (TypeError"),
        ({"name": "odd"}, "holds no recipe (KeyError: 'rules'); write"),
        ({"name": "odd", "rules": {"encoder": "w4c"}}, "holds no recipe (ValueError"),
        ({"name": 1, "rules": [[".*", "w4c"]]}, "`name` must be a text. Received: name=1"),
        (odd(), "`odd` has no rules"),
        (odd(["(", "w4c"]), "'(' is no regular expression"),
        (odd([".*", "w4"]), "'w4' names no scheme"),
        (odd([".*", {"bits": 4}]), "has no field 'bits'; it has weight_bits"),
        (odd([".*", {"weight_bits": 9}]), "Received: bits=9"),
        (odd([".*", {"weight_noise": "no"}]), "holds no recipe (TypeError"),
        (odd([".*", {"learned_clip": "no"}]), "must be true or false"),
        (odd(["encoder/up", "w4c"], [".*", "float"]), "rule 'encoder/up' decides for no layer"),
        (odd(["encoder/.*", "w4c"]), "has no rule for layer `predictor"),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["train", "export"])
def test_recipe_files_that_are_refused(trained, tmp_path, command, content, complaint):
    file = tmp_path / "recipe.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    if command == "export":
        arguments = [trained.workdir, f"--output={tmp_path / 'm.tflite'}"]
    else:
        arguments = [f"--manifest={trained.manifest}", f"--workdir={tmp_path / 'run'}"]
    # Whether its rules fit is known once there is a model.
    begun = "encoder/" in str(content)
    assert complaint in commands.refusal(command, *arguments, f"--recipe={file}", begun=begun)
