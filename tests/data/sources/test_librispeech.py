import numpy as np
import pytest
import soundfile

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.librispeech import read_librispeech
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError


@pytest.fixture
def root(tmp_path):
    for split, speaker in (("train-clean-5", "19"), ("dev-clean", "84")):
        chapter = tmp_path / "LibriSpeech" / split / speaker / "7"
        chapter.mkdir(parents=True)
        names = [f"{speaker}-7-000{i}" for i in range(2)]
        for i, name in enumerate(names):
            soundfile.write(chapter / f"{name}.flac", np.zeros(1600 * (i + 1)), 16000)
        lines = [f"{name} TEXT {i}" for i, name in enumerate(names)]
        (chapter / f"{speaker}-7.trans.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "LibriSpeech"


def test_reads_all_splits(root):
    utterances = read_librispeech(root)
    assert [(u.split, u.speaker, u.text) for u in utterances] == [
        ("dev-clean", "84", "TEXT 0"),
        ("dev-clean", "84", "TEXT 1"),
        ("train-clean-5", "19", "TEXT 0"),
        ("train-clean-5", "19", "TEXT 1"),
    ]
    assert utterances[1] == Utterance(
        audio=str(root / "dev-clean" / "84" / "7" / "84-7-0001.flac"),
        text="TEXT 1",
        duration=0.2,
        speaker="84",
        split="dev-clean",
    )


def test_reads_one_split_from_above_or_inside(root, monkeypatch):
    one = read_librispeech(root, "dev-clean")
    assert [u.split for u in one] == ["dev-clean"] * 2
    assert read_librispeech(root / "dev-clean") == one
    monkeypatch.chdir(root / "dev-clean")
    assert read_librispeech(".") == one
    with pytest.raises(UserError, match="no split 'test'; it has 'dev-clean', 'train-clean-5'"):
        read_librispeech(root, "test")


def test_names_the_mistake(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no LibriSpeech folder"):
        read_librispeech(tmp_path / "empty")
    transcript = root / "dev-clean" / "84" / "7" / "84-7.trans.txt"
    transcript.write_text("84-7-0000 A\n84-7-0009 B\n")
    with pytest.raises(UserError, match=r"Line 2 of .*names 84-7-0009\.flac"):
        read_librispeech(root)
    transcript.write_text("84-7-0000 \n")
    with pytest.raises(UserError, match=r"Line 1 of .* has no text"):
        read_librispeech(root)


@pytest.mark.parametrize("name", ["../7/84-7-0001", "/84-7-0001", "a" * 300, "a\0"])
def test_recordings_lie_beside_their_transcript(root, name):
    chapter = root / "dev-clean" / "84" / "7"
    (chapter / "84-7.trans.txt").write_text(f"84-7-0000 A\n{name} B\n")
    report = CorpusReport("skip")
    assert [u.text for u in read_librispeech(root, "dev-clean", report)] == ["A"]
    assert "which is not beside it" in report.first()


def test_links_to_folders_are_followed(root, tmp_path):
    elsewhere = tmp_path / "linked"
    elsewhere.mkdir()
    (elsewhere / "dev-clean").symlink_to(root / "dev-clean")
    # A way round and round.
    (root / "dev-clean" / "84" / "again").symlink_to(root)
    (elsewhere / "loop").symlink_to(elsewhere)
    assert [u.text for u in read_librispeech(elsewhere, "dev-clean")] == ["TEXT 0", "TEXT 1"]


def test_a_chapter_by_two_names_is_read_once(root):
    (root / "also").symlink_to(root / "dev-clean")
    assert [u.text for u in read_librispeech(root, "also")] == ["TEXT 0", "TEXT 1"]
    assert [u.split for u in read_librispeech(root)] == ["also"] * 2 + ["train-clean-5"] * 2


def test_skips_what_is_broken_and_says_so(root):
    chapter = root / "dev-clean" / "84" / "7"
    (chapter / "84-7-0002.flac").write_text("no audio")
    transcript = chapter / "84-7.trans.txt"
    transcript.write_bytes(b"84-7-0000 A\n84-7-0009 B\n84-7-0001 \xe9\n84-7-0002 C\n84-7-0001\n")
    report = CorpusReport("skip")
    assert [u.text for u in read_librispeech(root, "dev-clean", report)] == ["A"]
    assert report.left_out == 4
    shown = "\n".join(report.lines())
    assert all(f"Line {number} of {str(transcript)[:30]}" in shown for number in (2, 3, 4, 5))
    transcript.write_text("84-7-0000\n")
    with pytest.raises(
        UserError, match=r"No line of the transcripts in .* can be used\. 1 lines .*: Line 1"
    ):
        read_librispeech(root, "dev-clean", CorpusReport("skip"))
