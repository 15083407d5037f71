import json

import pytest
import soundfile

from int4_conformer.text.wordpieces import Wordpieces
from tests.support import commands

TEXTS = (
    ("Play some music!", "train"),
    ("play the next song", "train"),
    ("stop the music", "train"),
    ("...", "train"),
    ("a quiz of jokes", "dev"),
)


@pytest.fixture
def manifest(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.0] * 1600, 16000)
    lines = [{"audio": "a.wav", "text": text, "split": split} for text, split in TEXTS]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    return manifest


def test_it_learns_from_the_normalised_training_texts(manifest, tmp_path):
    file = tmp_path / "pieces.model"
    result = commands.run(
        "wordpieces", f"--manifest={manifest}", "--vocab_size=20", f"--output={file}"
    )
    assert result.status == 0, result.err
    assert result.out.splitlines()[-1] == f"{file}: 20 pieces from 3 texts"
    assert "1 texts without a word" in result.out
    pieces = Wordpieces.load(file)
    assert pieces.vocabulary.size == 20
    assert pieces.vocabulary.detokenize(pieces.encode("play the music")) == "play the music"
    symbols = set("".join(pieces.vocabulary.pieces[1:]))
    # Neither capitals and punctuation nor the letters of the dev texts.
    assert not symbols & set("PS!.qzj")


def test_another_split(manifest, tmp_path):
    file = tmp_path / "pieces.model"
    result = commands.run(
        *("wordpieces", f"--manifest={manifest}", "--split=dev"),
        *("--vocab_size=13", f"--output={file}"),
    )
    assert result.status == 0, result.err
    assert Wordpieces.load(file).encode("quiz")


def test_refusals(manifest, tmp_path):
    given = [f"--manifest={manifest}", "--vocab_size=20", f"--output={tmp_path / 'pieces'}"]
    before = sorted(tmp_path.iterdir())
    for flags, line in [
        (["extra"], "wordpieces takes flags only. Received: 'extra'"),
        (["--vocab_size=1"], "`vocab_size` must be at least 2"),
        (["--vocab_size=1000"], "`vocab_size` must be at most"),
        (["--vocab_size=5"], "`vocab_size` must be at least 1"),
        (["--split=test"], "has no split 'test'"),
        ([f"--output={tmp_path}"], "is a folder; name the file to write"),
        ([f"--output={manifest}/pieces"], "manifest.jsonl is no folder"),
        (["--manifest=absent"], "There is no corpus absent"),
    ]:
        begun = any("vocab_size" in flag for flag in flags)
        assert line in commands.refusal("wordpieces", *given, *flags, begun=begun)
    for flag in ("manifest", "vocab_size", "output"):
        rest = [value for value in given if flag not in value.partition("=")[0]]
        assert f"--{flag}" in commands.refusal("wordpieces", *rest)
    assert sorted(tmp_path.iterdir()) == before
