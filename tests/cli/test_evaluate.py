import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from int4_conformer.audio import audio_files
from int4_conformer.text.metrics import word_errors
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.text.writing import Writing
from int4_conformer.tflite import flatbuffer, metadata
from int4_conformer.tflite.serialization import serialize
from tests.support import commands, tflite_models

ARPA = "\\data\\\nngram 1=5\n\n\\1-grams:\n" + "".join(
    f"-0.7\t{word}\n" for word in ("<s>", "</s>", "a", "b", "\u2581")
)
ARPA += "\n\\end\\\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recogniser's file and utterances that it recognises; their texts differ a little."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "recognizer.tflite").write_bytes(tflite_models.recognizer())
    lines = []
    for name, tokens, text, rate in [
        ("one", [1, 2, 3], "AB c.", 16000),
        ("two", [3, 3], "c b c", 8000),
        ("three", [1], "", 44100),
        ("four", [1, 3], "é", 48000),
    ]:
        samples = audio_files.resample(tflite_models.pcm(tokens), 16000, rate)
        if name == "two":
            samples = np.stack([samples, np.zeros_like(samples)], axis=1)
        soundfile.write(folder / f"{name}.wav", samples, rate)
        lines.append({"audio": f"{name}.wav", "text": text, "split": "test"})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_a_file(folder, tmp_path):
    result = commands.run(
        "evaluate",
        folder / "recognizer.tflite",
        *("--manifest", folder, "--split=test", "--num_threads=2"),
        f"--json={tmp_path / 'figures.json'}",
        f"--hypotheses={tmp_path / 'hypotheses.tsv'}",
    )
    assert result.status == 0, result.err
    lines = [line.rsplit(maxsplit=1) for line in result.out.splitlines()]
    assert [line[0] for line in lines] == [
        *("utterances", "words", "WER", "CER", "substitutions", "deletions", "insertions"),
        "real-time factor",
        "hypotheses",
    ]
    # "c b c" lost a word, "" gained one, "é" was taken for "a" and gained one: letters all of them.
    assert [line[1] for line in lines[:-2]] == ["4", "6", "66.67%", "57.14%", "1", "1", "2"]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures.pop("rtf") == pytest.approx(float(lines[-2][1]), abs=1e-4)
    assert figures == {
        "wer": pytest.approx(4 / 6),
        "utterances": 4,
        "words": 6,
        "substitutions": 1,
        "deletions": 1,
        "insertions": 2,
        "cer": pytest.approx(4 / 7),
        "characters": 7,
        "character_errors": 4,
        "left_out": 0,
    }
    rows = [row.split("\t") for row in (tmp_path / "hypotheses.tsv").read_text().splitlines()]
    assert [row[1:] for row in rows] == [
        ["ab c", "ab c"],
        ["c b c", "c c"],
        ["", "a"],
        ["é", "a c"],
    ]
    assert rows[0][0] == str(folder / "one.wav")


def test_a_file_against_another(folder, tmp_path):
    model = flatbuffer.load(tflite_models.float_model())
    # It hears "ba c" for "ab c", one word more that is wrong.
    vocabulary = Vocabulary(pieces=("<blank>", "▁b", "a", "▁c"))
    metadata.attach(model, dataclasses.replace(tflite_models.facts(), vocabulary=vocabulary))
    other = tmp_path / "other.tflite"
    other.write_bytes(metadata.seal(tflite_models.serialize(model)))
    figures = tmp_path / "figures.json"
    result = commands.run(
        *("evaluate", folder / "recognizer.tflite", "--against", other),
        f"--manifest={folder}",
        f"--json={figures}",
    )
    assert result.status == 0, result.err
    against, difference, chance = [line.split(maxsplit=1) for line in result.out.splitlines()[-3:]]
    assert against == ["against", f"{other}, WER 83.33%"]
    # Of draws, some miss that utterance.
    assert re.fullmatch(r"-16.67 points \(-\d\d.\d\d \.\. [-+]0.00 with 95%\)", difference[1])
    # One utterance differs, and could have done so the other way round.
    assert chance == ["by", "chance         p = 1"]
    found = json.loads(figures.read_text())
    compared = found["against"]
    assert compared["words"] == found["words"] == 6
    assert compared["difference"] == pytest.approx(found["wer"] - compared["wer"])
    assert compared["low"] < compared["difference"] < compared["high"] == 0
    assert compared["p"] == 1


def test_a_page(folder, tmp_path):
    page = tmp_path / "page.html"
    manifest = ("--manifest", folder, "--split=test")
    result = commands.run("evaluate", folder / "recognizer.tflite", *manifest, "--html", page)
    assert result.status == 0, result.err
    text = page.read_text()
    assert "66.67%" in text
    assert re.findall("<h2>(.*?)</h2>", text) == [
        *("Said and heard", "Most frequent errors", "By length", "By noise", "Confidence"),
        "To listen to",
    ]
    assert text.count("<audio") == 4
    assert "the expected calibration error" in text
    # Nothing is loaded.
    assert not re.search(r"(src|href)=.(?!data:)", text)


def test_characters_count_as_words(folder, tmp_path):
    page = tmp_path / "page.html"
    result = commands.run(
        *("evaluate", folder / "recognizer.tflite", "--manifest", folder, "--html", page),
        "--reference_normalizer=characters",
    )
    assert result.status == 0, result.err
    rows = dict(line.rsplit(maxsplit=1) for line in result.out.splitlines())
    assert rows["WER"] == rows["CER"] == "57.14%"
    assert rows["normalizer"] == "characters"
    assert "by --reference_normalizer=characters" in page.read_text()


def test_a_file_against_itself(folder):
    file = folder / "recognizer.tflite"
    result = commands.run("evaluate", file, "--against", file, "--manifest", folder)
    assert result.status == 0, result.err
    assert result.out.endswith(
        "\ndifference        +0.00 points (+0.00 .. +0.00 with 95%)\nby chance         p = 1\n"
    )


def test_another_that_is_not_there(folder):
    file = folder / "recognizer.tflite"
    line = commands.refusal("evaluate", file, "--manifest", folder, "--against=nowhere.tflite")
    assert line.endswith(
        "There is no model nowhere.tflite; give a training folder or a .tflite file."
    )


def test_a_file_is_evaluated_by_the_light_runtime(folder, tmp_path):
    blocked = ["tensorflow", "keras", "jiwer", "rich", "sentencepiece", "ai_edge_quantizer"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); "
        "from int4_conformer.cli import main; main.main(['evaluate', *sys.argv[1:]])"
    )
    (tmp_path / "page.wav").write_text("<html>")
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        line["audio"] = str(folder / line["audio"])
    lines.append({"audio": "page.wav", "text": "a", "split": "test", "duration": 1.0})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = [folder / "recognizer.tflite", "--manifest", tmp_path, "--on_error=skip"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "utterances        4\nleft out          1\n" in result.stdout
    assert "WER               66.67%" in result.stdout
    assert "1 audio files that cannot be decoded\n" in result.stderr
    assert f"Line 5 of {str(tmp_path)[:30]}" in result.stderr


@pytest.mark.parametrize(
    ("durations", "wrong"),
    [((0.01, None, None, None), 1), ((0.01,) * 4, 1), ((99.0,) * 4, 4)],
)
def test_a_wrong_duration_changes_no_error(folder, durations, wrong, tmp_path):
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line, duration in zip(lines, durations, strict=True):
        line["audio"] = str(folder / line["audio"])
        if duration is not None:
            line["duration"] = duration
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = commands.run("evaluate", folder / "recognizer.tflite", "--manifest", tmp_path)
    assert result.status == 0, result.err
    assert "WER               66.67%" in result.out
    assert f"{wrong} durations that are not those of the audio, which counts" in result.err


def test_a_training_folder_and_its_export_hear_the_same(trained, exported_run, tmp_path):
    heard = []
    for model, flags in ((trained.workdir, ["--checkpoint=last"]), (exported_run[0], [])):
        hypotheses = tmp_path / "hypotheses.tsv"
        result = commands.run(
            *("evaluate", model, "--manifest", trained.manifest, "--hypotheses", hypotheses, *flags)
        )
        assert result.status == 0, result.err
        heard.append(hypotheses.read_text())
    assert heard[0] == heard[1]
    rows = [row.split("\t") for row in heard[0].splitlines()]
    assert [row[1] for row in rows] == ["ab", "b a", "a b", "ba ab", "a b", ""]
    assert any(row[2] for row in rows)


def test_a_file_that_writes_as_people_do(trained, exported_run, tmp_path):
    content = exported_run[0].read_bytes()
    model, facts = flatbuffer.load(content), metadata.read(content)
    model.metadata = [entry for entry in model.metadata if entry.name != metadata.NAME.encode()]
    spelling = dataclasses.replace(facts.spelling, writing=Writing(text="as_written"))
    metadata.attach(model, dataclasses.replace(facts, spelling=spelling))
    (tmp_path / "cased.tflite").write_bytes(metadata.seal(serialize(model)))
    result = commands.run(
        "evaluate",
        tmp_path / "cased.tflite",
        f"--manifest={trained.manifest}",
        f"--json={tmp_path / 'figures.json'}",
        f"--hypotheses={tmp_path / 'hypotheses.tsv'}",
    )
    assert result.status == 0, result.err
    rows = (tmp_path / "hypotheses.tsv").read_text().splitlines()
    _, references, hypotheses = zip(*(row.split("\t") for row in rows), strict=True)
    assert "A, b!" in references
    wer = word_errors(references, hypotheses).wer
    assert json.loads((tmp_path / "figures.json").read_text())["as_written"]["wer"] == wer
    assert f"\nWER as written    {100 * wer:.2f}%\n" in result.out


@pytest.mark.heavy
def test_a_training_folder_is_searched_by_a_beam(trained, tmp_path):
    (tmp_path / "phrases.txt").write_text("b a\nba ab\n")
    (tmp_path / "lm.arpa").write_text(ARPA, "utf-8")
    heard = {}
    for name, flags in {
        "greedy": [],
        "one": ["--beam=1"],
        "eight": ["--beam=8"],
        "all": [
            *("--beam=4", f"--bias={tmp_path / 'phrases.txt'}", "--bias_score=3"),
            *(f"--lm={tmp_path / 'lm.arpa'}", "--lm_weight=0.5", "--insertion_bonus=0.1"),
        ],
    }.items():
        hypotheses = tmp_path / f"{name}.tsv"
        result = commands.run(
            *("evaluate", trained.workdir, "--manifest", trained.manifest),
            *("--hypotheses", hypotheses, *flags),
        )
        assert result.status == 0, result.err
        heard[name] = hypotheses.read_text()
    assert heard["one"] == heard["greedy"]
    assert heard["all"] != heard["greedy"]


def test_refused_searches(trained, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "foreign.txt").write_text("z\n")
    (tmp_path / "noise.arpa").write_text("noise")
    for flags, line in [
        (["--stream"], "--stream is for .tflite files"),
        (["--lm=lm.arpa"], "--lm needs a beam search; give --beam=8, for example"),
        (["--bias=phrases.txt"], "--bias needs a beam search"),
        (["--beam=0"], "flag --beam=0"),
        (["--beam=4", "--lm_weight=-1"], "`lm_weight` must not be negative"),
        (["--beam=4", "--lm=absent.arpa"], "There is no language model absent.arpa"),
        (["--beam=4", f"--lm={tmp_path}/noise.arpa"], "noise.arpa is no ARPA file"),
        (["--beam=4", "--bias=absent.txt"], "There is no list of phrases absent.txt"),
        (
            ["--beam=4", f"--bias={tmp_path}/empty.txt"],
            "empty.txt is empty; give a file with a phrase",
        ),
        (["--beam=4", f"--bias={tmp_path}/foreign.txt"], "The symbol 'z' of the text 'z'"),
        (
            ["--beam=4", f"--bias={tmp_path}/foreign.txt", "--bias_score=0"],
            "`score` must be positive",
        ),
    ]:
        arguments = (trained.workdir, f"--manifest={trained.manifest}", *flags)
        # Reading the model may take long enough to be said.
        assert line in commands.refusal("evaluate", *arguments, begun=True)


def test_refusals(folder, trained, tmp_path):
    model, manifest = folder / "recognizer.tflite", f"--manifest={folder}"
    content = model.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[:-200])
    (tmp_path / "foreign.tflite").write_bytes(tflite_models.float_model())
    (tmp_path / "untrained").mkdir()
    (tmp_path / "untrained" / "config.json").write_bytes(
        (trained.workdir / "config.json").read_bytes()
    )
    for arguments, line in [
        ([], "evaluate takes one MODEL. Received: 0 arguments"),
        ([model, model], "evaluate takes one MODEL. Received: 2 arguments"),
        ([tmp_path / "absent"], "absent; give a training folder or a .tflite file"),
        ([folder / "one.wav"], "one.wav is not a TFLite model"),
        ([folder], "is no training folder: it has no config.json"),
        ([tmp_path / "untrained"], "has no checkpoint yet (best or last)"),
        ([tmp_path / "cut.tflite"], "cut.tflite is"),
        ([tmp_path / "foreign.tflite"], "is a TFLite model but not a recogniser"),
        ([model, "--checkpoint=best"], "--checkpoint=best is for training folders"),
        ([model, "--first_pass"], "has a first pass in streams alone; add --stream"),
        ([model, "--full_sum"], "--full_sum is for training folders"),
        ([model, "--beam=4"], "exported before it had other searches than the greedy one"),
        ([model, "--only"], "--only needs --bias; give a file of the phrases that may be said"),
        ([model, "--stream", "--first_pass", "--beam=4"], "first pass of a file is greedy; leave"),
        ([trained.workdir, "--only", "--bias=a.txt"], "--only is for .tflite files"),
        ([model, "--checkpoint=first"], "flag --checkpoint=first"),
        ([model, "--num_threads=0"], "flag --num_threads=0"),
        ([model, "--reference_normalizer=whisper"], "flag --reference_normalizer=whisper"),
        ([model, "--split=dev"], "has no split 'dev'; it has 'test'"),
        ([model, f"--json={tmp_path}"], "is a folder; name the file to write"),
        ([model, f"--hypotheses={model}/h"], "h cannot be written"),
        ([model, "--manifest=absent"], "There is no corpus absent"),
    ]:
        assert line in commands.refusal("evaluate", manifest, *arguments)
    assert "--manifest" in commands.refusal("evaluate", model)


def test_an_utterance_that_cannot_be_heard(folder, tmp_path):
    (tmp_path / "noise.wav").write_text("no audio")
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"audio": "noise.wav", "text": "a", "duration": 1.0}))
    given = ("evaluate", folder / "recognizer.tflite", f"--manifest={manifest}")
    for flags in ([], ["--on_error=skip"]):
        assert "noise.wav is not audio: it is text" in commands.refusal(*given, *flags)
    assert "flag --on_error=ignore" in commands.refusal(*given, "--on_error=ignore")
