import pytest

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError
from tests.support import corpora


@pytest.fixture
def folder(tmp_path):
    for name, text in (("train/ann/1", "one"), ("train/2", "two\ntwo\n"), ("dev/3", "three")):
        corpora.audio(tmp_path / f"{name}.wav")
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def test_texts_lie_beside_recordings(folder):
    assert format_of(folder).name == "a folder of recordings and texts"
    assert [(u.text, u.split) for u in read_corpus(folder)] == [
        ("three", "dev"),
        ("two two", "train"),
        ("one", "train"),
    ]
    assert [u.text for u in read_corpus(folder, "dev")] == ["three"]
    with pytest.raises(UserError, match="no split 'test'; it has 'dev', 'train'"):
        read_corpus(folder, "test")
    # Without folders called so, all is for training.
    assert {u.split for u in read_corpus(folder / "dev")} == {"train"}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("4.txt", None, r"4\.wav has no 4\.txt beside it; write its text"),
        ("4.txt", b" \r\n", r"4\.txt is empty; write the text of 4\.wav"),
        ("4.txt", b"caf\xe9", r"4\.txt is not UTF-8 text"),
        ("4.wav", b"<html>", r"4\.wav .*web page"),
    ],
)
def test_faults_are_named_and_left_out(folder, name, content, sentence):
    corpora.audio(folder / "4.wav")
    (folder / "4.txt").write_bytes(b"four")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_corpus(folder)
    report = CorpusReport("skip")
    assert len(read_corpus(folder, report=report)) == 3
    assert report.left_out == 1


def test_two_recordings_of_one_text(folder):
    corpora.audio(folder / "dev" / "3.flac", 1)
    with pytest.raises(UserError, match=r"3\.wav has the name of 3\.flac; leave one"):
        read_corpus(folder)


def test_notes_and_hidden_files_are_no_fault(folder):
    (folder / "README.txt").write_text("about it")
    (folder / "._1.wav").write_bytes(b"Mac OS X")
    (folder / "again").symlink_to(folder)
    report = CorpusReport("stop")
    assert len(read_corpus(folder, report=report)) == 3
    assert [(f.kind, f.left_out) for f in report.findings] == [("texts without a recording", True)]


def test_line_ends_and_a_byte_order_mark(folder):
    (folder / "dev" / "3.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read_corpus(folder, "dev")[0].text == "one two"


def test_nothing_can_be_used(folder):
    for path in folder.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"No recording in .* can be used"):
        read_corpus(folder, report=CorpusReport("skip"))
