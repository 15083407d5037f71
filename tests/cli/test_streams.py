"""Commands that hear a file's two passes segment by segment."""

import json

import numpy as np
import pytest
import soundfile

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from tests.support import commands, tflite_models, tiny
from tests.support.pairs import LENGTHS, PCM, W4A8, built


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recogniser of two passes, one that hears whole utterances only, and a corpus."""
    folder = tmp_path_factory.mktemp("streams")
    model = built("cascade", "averaged", W4A8)
    export_tflite(model, tiny.TOKENIZER, folder / "cascade.tflite")
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


def test_refusals(folder, trained):
    manifest = f"--manifest={folder}"
    cascade, whole = folder / "cascade.tflite", folder / "whole.tflite"
    for arguments, complaint in [
        (["transcribe", whole, folder / "0.wav", "--stream"], "hears whole utterances only"),
        (["evaluate", whole, manifest, "--stream"], "hears whole utterances only"),
        (["evaluate", cascade, manifest, "--first_pass"], "in streams alone; add --stream"),
        (["evaluate", trained.workdir, manifest, "--stream"], "--stream is for .tflite files"),
    ]:
        assert complaint in commands.refusal(*arguments)
