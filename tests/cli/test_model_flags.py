"""Which model a new run has, by the flags of `int4-conformer train`."""

import json

import pytest
from absl import flags

from int4_conformer.cli import model_flags
from int4_conformer.errors import UserError
from int4_conformer.models.presets import preset
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.writing import WORDS, Writing
from int4_conformer.training.exported_file import read_exported
from int4_conformer.training.run_folder import read_run_config
from tests.support import box, commands


def start(*given, phrases=None):
    values = flags.FlagValues()
    flags.DEFINE_string("phrases", phrases, "", flag_values=values)
    model_flags.define_flags(values)
    values(["train", *given])
    return model_flags.ModelStart(values)


def test_the_defaults():
    begun = start()
    assert begun.path is None
    assert begun.tokenizer(["ab"]) == Graphemes.from_texts(["ab"])
    assert begun.sizes(5) == preset("tiny", vocab_size=5)


def test_a_file_has_sizes_recipe_and_tokenizer(exported_run):
    path, _ = exported_run
    own = read_exported(path)
    begun = start(f"--init_from={path}")
    assert begun.tokenizer(["zz"]) == own.tokenizer
    assert begun.sizes(own.tokenizer.vocabulary.size) == own.config
    assert begun.sizes(5).vocab_size == 5
    others = start(f"--init_from={path}", "--recipe=float", "--notied", "--tokenizer=graphemes")
    assert others.sizes(5).recipe == Recipe.named("float")
    assert not others.sizes(5).joint.tied
    assert others.sizes(5).encoder == own.config.encoder
    assert others.tokenizer(["zz"]) == Graphemes.from_texts(["zz"])
    assert start(f"--init_from={path}", "--preset=tiny").sizes(5) == preset("tiny", vocab_size=5)


def test_a_name_stands_for_its_file(exported_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    box.put(tmp_path, monkeypatch, exported_run[0])
    begun = start("--init_from=commands", phrases="phrases.txt")
    assert begun.path.endswith("commands.tflite")
    assert begun.tokenizer(["zz"]) == read_exported(exported_run[0]).tokenizer


def test_phrases_take_the_tokenizer_of_a_run(trained):
    begun = start(f"--init_from={trained.workdir}", phrases="phrases.txt")
    charset = read_run_config(trained.workdir)["tokenizer"]["charset"]
    assert begun.tokenizer(["zz"]) == Graphemes(charset=charset)
    assert start(f"--init_from={trained.workdir}").tokenizer(["zz"]).charset == " z"


def test_how_texts_are_written():
    assert start().writing == WORDS
    begun = start("--text=as_written", "--locale=tr")
    assert begun.writing == Writing(text="as_written", locale="tr")
    assert begun.tokenizer(["A b."]) == Graphemes(charset=" .Ab", writing=begun.writing)
    with pytest.raises(UserError, match="--phrases are words; leave --text=as_written out"):
        start("--text=as_written", phrases="phrases.txt")
    with pytest.raises(UserError, match="`text` must be one of words, as_written"):
        start("--text=written")


def test_texts_are_written_as_those_of_the_tokenizer(tmp_path):
    cased = Writing(text="as_written", markers="keep")
    config = {"tokenizer": Graphemes(writing=cased).to_config(), "model": {}, "training": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert start(f"--tokenizer={tmp_path}").writing == cased
    words = start(f"--tokenizer={tmp_path}", "--text=words")
    assert words.tokenizer([]).writing == words.writing == Writing(markers="keep")
    spoken = start(f"--init_from={tmp_path}", phrases="phrases.txt")
    assert spoken.writing == Writing(markers="keep")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (box.MODEL, "was exported by an earlier version, whose files do not tell all weights"),
        ("absent.tflite", "The model file absent.tflite cannot be read"),
    ],
)
def test_refused_files(trained, tmp_path, given, message):
    flags = (f"--manifest={trained.manifest}", f"--workdir={tmp_path / 'run'}")
    assert message in commands.refusal("train", *flags, f"--init_from={given}")
    assert not (tmp_path / "run").exists()
