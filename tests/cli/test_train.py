import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from absl import flags as absl_flags

from int4_conformer.cli import phrase_runs, train
from int4_conformer.training.run_config import run_config
from int4_conformer.training.training_config import TrainingConfig
from tests.support import commands, tiny


def metrics(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_an_interrupted_run_keeps_its_checkpoint(trained):
    assert trained.results[0].status == 130
    assert trained.results[0].err == ""
    assert [line["step"] for line in metrics(trained.interrupted)] == [2]


def test_the_same_command_resumes(trained):
    result = trained.results[1]
    assert result.status == 0
    assert [line["step"] for line in metrics(trained.workdir)] == [2, 4]
    last = metrics(trained.workdir)[-1]
    assert np.isfinite(last["loss"])
    lines = result.out.splitlines()
    # Before the first step: the last text of the dev set is empty.
    said = lines.index("left out 1:")
    assert lines[said + 1] == "       1 texts without a word"
    assert lines[said + 2].strip().startswith(f"Line 6 of {str(trained.manifest)[:30]}")
    (resumed,) = (number for number, line in enumerate(lines) if "goes on from step 2" in line)
    wer = f"{100 * last['dev_wer']:.2f}%"
    (evaluated,) = (number for number, line in enumerate(lines) if line.startswith("step 4  loss "))
    assert lines[evaluated].endswith(f"dev WER {wer}")
    assert said < resumed < evaluated < lines.index(f"dev WER {wer}")
    assert lines[-1] == f"the run is in {trained.workdir}"
    assert result.err.endswith(
        f"next:\n  int4-conformer export {trained.workdir} --output=model.tflite\n"
        "  int4-conformer transcribe model.tflite recording.wav\n"
    )


def test_a_finished_run_is_left_alone(trained):
    assert trained.trainer.train() is None
    assert len(metrics(trained.workdir)) == 2


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["extra"], "train takes flags only. Received: 'extra'"),
        (["--preset=huge"], "Unknown preset 'huge'; choose one of tiny, conformer_s"),
        (["--recipe=w1"], "Unknown recipe 'w1'; choose one of float, w2a8"),
        (
            ["--strategy=gpus"],
            "Unknown strategy 'gpus'; choose one of auto, one_device, ",
        ),
        (["--tokenizer=absent"], "There is no wordpiece model absent; train one"),
        (["--split=test"], "has no split 'test'; it has 'dev', 'train'"),
        (["--dev_split=test"], "has no split 'test'; it has 'dev', 'train'. Name another with"),
        (["--dev_split=test"], "with --dev_fraction=0.1, or count no word errors with --dev_split"),
        (["--on_error=ignore"], "flag --on_error=ignore"),
        (["--dev_fraction=0.9"], "flag --dev_fraction=0.9"),
        (["--steps=0"], "`steps` must be at least 1. Received: steps=0"),
        (["--batch_seconds=0"], "`batch_seconds` must be positive. Received: batch_seconds=0"),
        (["--warmup=-1"], "`warmup` must not be negative. Received: warmup=-1"),
        (["--max_seconds=0.1"], "There is no utterance to train on. 4 utterances longer"),
        (["--manifest=absent"], "There is no corpus absent; give a manifest"),
        (["--manifest=", "--phrases=absent"], "There is no list of phrases absent; check the path"),
        (["--manifest=", "--phrases=commands", "--voices=a"], "There are no voices 'a'"),
        (
            ["--manifest=", "--phrases=commands", "--data_service=localhost:5050"],
            "make one of --phrases with `int4-conformer speak`",
        ),
        # Before anything is spoken.
        (["--manifest=", "--phrases=commands", "--preset=huge"], "Unknown preset 'huge'"),
    ],
)
def test_refused_flags(trained, tmp_path, flags, line):
    given = [f"--manifest={trained.manifest}", f"--workdir={tmp_path / 'run'}", "--steps=1"]
    assert line in commands.refusal("train", *given, *flags)


def test_flags_that_must_be_given():
    assert "--manifest" in commands.refusal("train", "--workdir=run")
    both = ("--manifest=synthetic", "--phrases=phrases.txt")
    assert "one of them" in commands.refusal("train", "--workdir=run", *both)
    assert "--workdir" in commands.refusal("train", "--manifest=synthetic")


def taken(*flags, config=None):
    """Values of flags as `train` begins with them."""
    values = absl_flags.FlagValues()
    train.COMMAND.define_flags(values)
    absl_flags.DEFINE_string("config", None, "", flag_values=values)
    values(["train", *flags])
    values.config = config
    train.COMMAND.take_config(values)
    return values


def test_what_is_usual_with_phrases():
    with_corpus = taken("--manifest=synthetic")
    assert (with_corpus.preset, with_corpus.steps) == (None, TrainingConfig.steps)
    values = taken("--phrases=commands")
    assert (values.preset, values.steps, values.batch_seconds) == ("cascaded_tiny", 1200, 32.0)
    # A file brings its sizes.
    values = taken("--phrases=commands", "--init_from=model.tflite")
    assert (values.preset, values.steps, values.batch_seconds) == (None, 800, 32.0)
    values = taken("--phrases=commands", "--init_from=run")
    assert (values.preset, values.steps) == ("cascaded_tiny", 800)
    values = taken("--phrases=commands", "--preset=tiny", "--steps=3")
    assert (values.preset, values.steps, values.average) == ("tiny", 3, 50)
    config = run_config()
    config.corpus.phrases = "commands"
    config.training.steps = 7
    config.optimizer.average = 9
    values = taken("--average=5", config=config)
    assert (values.preset, values.steps, values.average) == ("cascaded_tiny", 7, 5)


def test_the_page_lists_what_is_usual_with_phrases():
    page = (Path(__file__).parents[2] / "docs" / "phrases.md").read_text()
    rows = re.findall(r"^\| `--(\w+)` \| `?([^|`]+)`? \| ([^|]+) \|$", page, re.MULTILINE)
    both = phrase_runs.FROM_NOTHING | phrase_runs.FROM_WEIGHTS
    del both["preset"]
    assert {name: value for name, value, _ in rows} == {
        name: f"{value:g}" if name != "preset" else value
        for name, value in phrase_runs.FROM_NOTHING.items()
    }
    assert {name: value for name, _, value in rows if name != "preset"} == {
        name: f"{value:g}" for name, value in both.items()
    }


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("", "is empty; write one JSON object a line"),
        ("\n \n", "is empty; write one JSON object a line"),
        ("audio,text\n", "Line 1 of {manifest} is not JSON"),
        ("[1]\n", "Line 1 of {manifest} is not a JSON object"),
        ('{"text": "a"}\n', "Line 1 of {manifest} has no key 'audio'"),
        ('{"audio": "absent.wav", "text": "a"}\n', "which does not exist"),
        ('{"audio": "text.wav", "text": "a"}\n', "text.wav is not audio"),
        (
            '{"audio": "text.wav", "text": "a", "duration": 1}\n',
            "text.wav is not audio",
        ),
        ('{"audio": "empty.wav", "text": "a"}\n', "empty.wav holds no audio samples"),
        ('{"audio": "empty.wav", "text": "a", "duration": 1}\n', "empty.wav holds no audio"),
        ('{"audio": "good.wav", "text": "?!"}\n', "The texts hold no character"),
        (
            '{"audio": "good.wav", "text": "a"}\n{"audio": "text.wav", "text": "a"}\n',
            "Line 2 of {manifest}",
        ),
    ],
)
def test_refused_corpora(tmp_path, lines, complaint):
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(lines)
    (tmp_path / "text.wav").write_text("not audio at all")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "good.wav", np.zeros(3200), 16000)
    line = commands.refusal(
        *("train", f"--manifest={manifest}", f"--workdir={tmp_path / 'run'}", "--dev_split="),
        "--on_error=stop",
    )
    assert complaint.format(manifest=manifest) in line


def test_a_text_outside_the_vocabulary(tmp_path):
    manifest = tiny.write_corpus(tmp_path)
    pieces = tmp_path / "pieces.model"
    flags = [f"--manifest={manifest}", "--vocab_size=4", f"--output={pieces}"]
    assert commands.run("wordpieces", *flags).status == 0
    manifest.write_text(manifest.read_text().replace("ba ab", "be ab"))
    line = commands.refusal(
        "train",
        f"--manifest={manifest}",
        f"--workdir={tmp_path / 'run'}",
        f"--tokenizer={pieces}",
        *("--dev_split=", "--on_error=stop"),
    )
    assert "The symbol 'e' of the text 'be ab' is not in the vocabulary" in line


def test_a_folder_with_other_settings(trained):
    settings = trained.workdir / "config.json"
    before = settings.read_bytes()
    line = commands.refusal(*trained.arguments, "--steps=8", "--preset=tiny")
    assert "holds a run with other settings (" in line
    assert "model.encoder was" in line
    assert "training.steps" not in line
    assert settings.read_bytes() == before


def test_a_folder_that_is_a_file(trained):
    line = commands.refusal(*trained.arguments, f"--workdir={trained.manifest}", "--preset=tiny")
    assert "manifest.jsonl" in line
