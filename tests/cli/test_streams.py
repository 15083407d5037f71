"""Commands that hear a file's two passes segment by segment."""

import json
import shutil
import sys

import numpy as np
import pytest
import soundfile

from int4_conformer.lite.recognizer import Recognizer
from tests.support import commands, sound_device, tflite_models
from tests.support.pairs import LENGTHS, PCM


@pytest.fixture(scope="module")
def folder(cascade_exports, tmp_path_factory):
    """A recogniser of two passes, one that hears whole utterances only, and a corpus."""
    folder = tmp_path_factory.mktemp("streams")
    shutil.copy(cascade_exports.tflite, folder / "cascade.tflite")
    (folder / "whole.tflite").write_bytes(tflite_models.recognizer())
    lines = []
    for row, length in enumerate(LENGTHS):
        soundfile.write(folder / f"{row}.wav", PCM[row, :length], 16000)
        lines.append({"audio": f"{row}.wav", "text": "a b", "split": "test"})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope="module")
def spoken(folder):
    """What the first pass says, and both."""
    recognizer, texts = Recognizer(folder / "cascade.tflite"), []
    for second_pass in (False, True):
        stream = recognizer.stream(second_pass=second_pass)
        stream.feed(soundfile.read(folder / "0.wav", dtype="float32")[0])
        texts.append(stream.finish().text)
    return texts


def test_words_are_shown_while_they_come(folder, spoken):
    result = commands.run("transcribe", folder / "cascade.tflite", folder / "0.wav", "--stream")
    assert result.status == 0, result.err
    *shown, text = result.out.splitlines()
    first, both = spoken
    assert first != both
    assert text == both
    seconds, words = zip(*(line.split("\t") for line in shown), strict=True)
    seconds = np.array(seconds, float)
    assert np.all(np.diff(seconds) > 0)
    assert seconds[-1] <= 13 * 0.04
    # Words of the first pass come before those that replace them.
    assert first.startswith(words[0])


def evaluated(folder, tmp_path, *arguments):
    hypotheses = tmp_path / "hypotheses.tsv"
    result = commands.run(
        "evaluate",
        folder / "cascade.tflite",
        *(f"--manifest={folder}", f"--hypotheses={hypotheses}", *arguments),
    )
    assert result.status == 0, result.err
    return [line.split("\t")[2] for line in hypotheses.read_text().splitlines()]


def test_streams_are_evaluated(folder, tmp_path, spoken):
    whole = evaluated(folder, tmp_path)
    assert evaluated(folder, tmp_path, "--stream") == whole
    first = evaluated(folder, tmp_path, "--stream", "--first_pass")
    assert [first[0], whole[0]] == spoken


@pytest.fixture(scope="module")
def lists(folder):
    """Flags that name a list of phrases, a grammar and a language model."""
    (folder / "phrases.txt").write_text("ab ab\n")
    (folder / "grammar.txt").write_text("first = b {what: a | b}\nsecond = (d | e)+\n")
    words = "".join(f"-0.7\t{word}\n" for word in ("<s>", "</s>", "a", "b", "\u2581"))
    (folder / "lm.arpa").write_text(
        f"\\data\\\nngram 1=5\n\n\\1-grams:\n{words}\n\\end\\\n", "utf-8"
    )
    return [
        [f"--phrases={folder}/phrases.txt", "--bonus=3"],
        [f"--phrases={folder}/grammar.txt", "--only"],
        [f"--lm={folder}/lm.arpa", "--lm_weight=2"],
    ]


def test_searches_of_transcribe(folder, lists):
    def transcribed(*flags):
        result = commands.run("transcribe", folder / "cascade.tflite", folder / "0.wav", *flags)
        assert result.status == 0, result.err
        return result.out

    greedy = transcribed()
    assert transcribed("--beam=1") == greedy
    phrases, grammar, lm = lists
    assert len({greedy, transcribed(*phrases), transcribed(*grammar), transcribed(*lm)}) == 4
    found = json.loads(transcribed("--json", "--beam=4", "--n_best=3"))
    assert len(found["alternatives"]) == 2
    scores = [found["score"], *(other["score"] for other in found["alternatives"])]
    assert scores == sorted(scores, reverse=True)
    found = json.loads(transcribed("--json", *grammar))
    assert found["phrase"] in ("first", "second")
    *_, last = transcribed("--stream", "--json", *grammar).splitlines()
    streamed = json.loads(last)
    assert streamed["text"] == found["text"]
    assert (streamed["phrase"], streamed["slots"]) == (found["phrase"], found["slots"])


def test_searches_of_evaluate(folder, tmp_path, lists, spoken):
    phrases, grammar, lm = (
        [flag.replace("phrases=", "bias=").replace("bonus=", "bias_score=") for flag in flags]
        for flags in lists
    )
    _, both = spoken
    assert evaluated(folder, tmp_path, "--beam=1")[0] == both
    for flags in (phrases, grammar, lm):
        heard = evaluated(folder, tmp_path, *flags, "--beam=4")
        assert heard[0] != both
        assert evaluated(folder, tmp_path, *flags, "--beam=4", "--stream") == heard


def test_a_model_of_whole_utterances_hears_a_microphone(folder, monkeypatch):
    samples = np.concatenate([np.zeros(16000), tflite_models.pcm([1, 2, 3] * 4), np.zeros(32000)])
    module = sound_device.module(samples, devices=[sound_device.device("Desk")], default=0)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    result = commands.run("transcribe", folder / "whole.tflite", "--microphone", "--nogate")
    assert result.status == 0, result.err
    assert result.out.strip()
    assert "hears whole utterances only: words come after 1.2 s of silence" in result.err


def test_refusals(folder):
    manifest = f"--manifest={folder}"
    cascade, whole = folder / "cascade.tflite", folder / "whole.tflite"
    for arguments, complaint in [
        (["transcribe", whole, folder / "0.wav", "--stream"], "hears whole utterances only"),
        (["evaluate", whole, manifest, "--stream"], "hears whole utterances only"),
        (["evaluate", cascade, manifest, "--first_pass"], "in streams alone; add --stream"),
    ]:
        assert complaint in commands.refusal(*arguments)
