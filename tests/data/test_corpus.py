import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from int4_conformer.data.corpus import (
    SYNTHETIC_SIZES,
    hold_out,
    normalized,
    note_unspellable,
    read_corpus,
)
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.writing import Writing


def test_reads_a_manifest_by_its_name_or_its_folder(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(160), 16000)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"audio": "a.wav", "text": "hi"}))
    for path in (tmp_path, tmp_path / "manifest.jsonl", str(tmp_path)):
        assert [u.text for u in read_corpus(path)] == ["hi"]
        with pytest.raises(UserError, match="it has 'train'"):
            read_corpus(path, "dev")


def test_several_splits(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(160), 16000)
    rows = [{"audio": "a.wav", "text": name, "split": name} for name in ("one", "two", "three")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [u.text for u in read_corpus(tmp_path, "three, one")] == ["three", "one"]
    with pytest.raises(UserError, match="no split 'four'"):
        read_corpus(tmp_path, "one,four")


def test_reads_librispeech(tmp_path):
    chapter = tmp_path / "dev-clean" / "1" / "2"
    chapter.mkdir(parents=True)
    soundfile.write(chapter / "1-2-0000.flac", np.zeros(160), 16000)
    (chapter / "1-2.trans.txt").write_text("1-2-0000 HI\n")
    assert [u.text for u in read_corpus(tmp_path, "dev-clean")] == ["HI"]


def test_reads_the_synthetic_corpus():
    dev = read_corpus("synthetic", "dev")
    assert dev == synthetic_corpus("dev", SYNTHETIC_SIZES["dev"])
    assert len(read_corpus("synthetic")) == sum(SYNTHETIC_SIZES.values())
    with pytest.raises(UserError, match="no split 'all'"):
        read_corpus("synthetic", "all")


def test_refuses_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"no corpus .*absent; give a manifest"):
        read_corpus(tmp_path / "absent")
    with pytest.raises(UserError, match=r"holds no corpus that is known: no manifest\.jsonl"):
        read_corpus(tmp_path)


def test_needs_no_tensorflow():
    program = "import sys, int4_conformer.data.corpus; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_texts_are_normalised_and_those_without_a_word_left_out():
    utterance = synthetic_corpus("dev", 1)[0]
    given = [dataclasses.replace(utterance, text=text) for text in ("Hi, YOU!", "...", "hi")]
    assert [u.text for u in normalized(given)] == ["hi you", "hi"]
    assert normalized(given)[1] is given[2]


def test_what_happens_to_texts_is_told():
    utterance = synthetic_corpus("dev", 1)[0]
    given = [dataclasses.replace(utterance, text=t) for t in ("[noise]", "one <unk> two", "(one)")]
    report = CorpusReport("stop")
    assert [u.text for u in normalized(given, report)] == ["one two", "one"]
    assert report.left_out == 1
    where = utterance.id
    assert report.lines() == [
        "left out 1:",
        "       1 texts without a word",
        f"         {where}: '[noise]'",
        "used, but odd:",
        "       1 texts with markers that are no words",
        f"         {where}: <unk>",
    ]


def test_texts_are_written_as_is_asked_for():
    utterance = synthetic_corpus("dev", 1)[0]
    given = [dataclasses.replace(utterance, text=t) for t in ("[noise]", "One, <UNK>!", "...")]
    report = CorpusReport("stop")
    writing = Writing(text="as_written", markers="keep")
    assert [u.text for u in normalized(given, report, writing)] == ["One, <unk> !"]
    assert report.left_out == 2
    assert "       1 texts with markers that count as words" in report.lines()


def test_symbols_that_cannot_be_written_are_told():
    utterance = synthetic_corpus("dev", 1)[0]
    given = [dataclasses.replace(utterance, text=text) for text in ("A bc!", "a zé")]
    report = CorpusReport("stop")
    note_unspellable(given, Graphemes(charset=" abc").vocabulary, report)
    assert report.left_out == 0
    assert report.lines()[1:] == [
        "       1 texts to score with symbols that the model cannot write",
        f"         {utterance.id}: z é",
    ]


@pytest.mark.parametrize(("fraction", "held"), [(0.0, 1), (0.3, 3), (1.0, 9)])
def test_a_part_is_held_out_at_random(fraction, held):
    utterances = synthetic_corpus("dev", 10)
    remaining, out = hold_out(utterances, fraction, seed=1)
    assert len(out) == held
    assert sorted(u.id for u in [*remaining, *out]) == sorted(u.id for u in utterances)
    assert hold_out(utterances, fraction, seed=1) == (remaining, out)
