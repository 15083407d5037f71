"""TSV, CSV and Parquet, alone and in folders."""

import sys

import numpy as np
import pytest

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from int4_conformer.errors import UserError
from tests.support import corpora

HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes\n"


@pytest.fixture
def common_voice(tmp_path):
    """A folder of Common Voice."""
    for name in "abc":
        corpora.audio(tmp_path / "clips" / f"{name}.mp3", ord(name), 0.5)
    rows = {name: f"s{name}\t{name}.mp3\tx\tSay {name}\t2\n" for name in "abc"}
    (tmp_path / "train.tsv").write_text(HEADER + rows["a"])
    (tmp_path / "dev.tsv").write_text(HEADER + rows["b"])
    (tmp_path / "validated.tsv").write_text(HEADER + rows["a"] + rows["b"] + rows["c"])
    (tmp_path / "reported.tsv").write_text("sentence\treason\n")
    return tmp_path


def texts(utterances):
    return [utterance.text for utterance in utterances]


def test_common_voice(common_voice):
    assert format_of(common_voice).name == "a folder of tables"
    report = CorpusReport()
    utterances = read_corpus(common_voice, report=report)
    assert [(u.text, u.split, u.speaker) for u in utterances] == [
        ("Say b", "dev", "sb"),
        ("Say a", "train", "sa"),
    ]
    assert [f.example for f in report.findings] == [str(common_voice / "reported.tsv")]
    assert texts(read_corpus(common_voice, "validated")) == ["Say a", "Say b", "Say c"]
    with pytest.raises(UserError, match="it has 'dev', 'train', 'validated'"):
        read_corpus(common_voice, "test")
    assert [u.split for u in read_corpus(common_voice / "dev.tsv")] == ["dev"]
    assert [u.split for u in read_corpus(common_voice / "validated.tsv")] == ["validated"] * 3


def test_quotes_are_text_in_tsv_and_quotes_in_csv(common_voice):
    (common_voice / "t.tsv").write_text('path\ttext\na.mp3\t"Yes" he said, "no\n')
    assert texts(read_corpus(common_voice / "t.tsv")) == ['"Yes" he said, "no']
    (common_voice / "t.csv").write_text('path,text\na.mp3,"one, two\nthree ""four"""\n')
    assert texts(read_corpus(common_voice / "t.csv")) == ['one, two\nthree "four"']


def test_a_folder_with_metadata(tmp_path):
    for split in ("train", "test"):
        corpora.audio(tmp_path / split / "a.wav")
        (tmp_path / split / "metadata.csv").write_text(f"file_name,transcription\na.wav,{split}\n")
    assert sorted((u.text, u.split) for u in read_corpus(tmp_path)) == [
        ("test", "test"),
        ("train", "train"),
    ]
    assert texts(read_corpus(tmp_path, "test")) == ["test"]


def test_times_and_splits_of_rows(tmp_path):
    corpora.audio(tmp_path / "a.wav", 1, 1.0)
    (tmp_path / "metadata.csv").write_text(
        "Audio,Text,Offset,Duration,Split\na.wav,one,0.25,0.5,train\na.wav,two,,,test\n"
    )
    one, two = read_corpus(tmp_path)
    np.testing.assert_array_equal(one.samples() * 32768, corpora.samples(1, 1.0)[4000:12000])
    assert (two.offset, two.duration, two.split) == (None, 1.0, "test")
    assert texts(read_corpus(tmp_path, "test")) == ["two"]
    with pytest.raises(UserError, match="no split 'dev'; it has 'test', 'train'"):
        read_corpus(tmp_path, "dev")


@pytest.mark.parametrize("ending", ["tsv", "csv"])
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (b"a.mp3", "Line 3 of .* has 1 cells and the first line 3"),
        (b"a.mp3,one,,more", "Line 3 of .* has 4 cells and the first line 3"),
        (b",one,", "Line 3 of .* has nothing in the column 'path'"),
        (b"a.mp3, ,", "Line 3 of .* has nothing in the column 'text'"),
        (b"a.mp3,caf\xe9,", "Line 3 of .* is not UTF-8"),
        (b"a.mp3,a\0b,", "Line 3 of .* is not UTF-8"),
        (b"a.mp3,one,long", "Line 3 of .*: 'duration' must be a number of seconds. Received: 'lo"),
        (b"a.mp3,one,-1", "'duration' must be a number of seconds. Received: '-1'"),
        (b"a.mp3,one,0", "'duration' must be positive. Received: 0"),
        (b"gone.mp3,one,", r"Line 3 of .* names the audio file .*gone\.mp3, which does not exist"),
    ],
)
def test_faults_are_named_and_left_out(common_voice, ending, row, sentence):
    path = common_voice / f"t.{ending}"
    content = b"\xef\xbb\xbfpath,text,duration\r\n\r\n" + row + b"\r\nb.mp3,good,\r\n"
    path.write_bytes(content.replace(b",", b"\t") if ending == "tsv" else content)
    with pytest.raises(UserError, match=sentence):
        read_corpus(path)
    report = CorpusReport("skip")
    assert texts(read_corpus(path, report=report)) == ["good"]
    assert report.left_out == 1


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("a,text", "no column of audio, which would be called audio, path.*are 'a', 'text'. Rena"),
        ("path,b", "no column of text, which would be called sentence, .*are 'path', 'b'"),
        ("", "no column of audio.*its columns are none"),
    ],
)
def test_wrong_columns(tmp_path, header, sentence):
    (tmp_path / "t.csv").write_text(header)
    for path in (tmp_path / "t.csv", tmp_path):
        with pytest.raises(UserError, match=sentence):
            read_corpus(path, report=CorpusReport("skip"))


def test_another_encoding(tmp_path):
    (tmp_path / "t.tsv").write_text(HEADER, encoding="utf-16")
    with pytest.raises(UserError, match=r"t\.tsv is not UTF-8 text; save the table as UTF-8"):
        read_corpus(tmp_path, report=CorpusReport("skip"))


def test_nothing_can_be_used(tmp_path):
    (tmp_path / "t.csv").write_text("path,text\ngone.wav,one\n")
    with pytest.raises(UserError, match=r"No row of .* can be used\. 1 audio files that are missi"):
        read_corpus(tmp_path, report=CorpusReport("skip"))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"which needs the package pyarrow; pip install .*parquet"):
        read_corpus(tmp_path)
    with pytest.raises(UserError, match="needs the package pyarrow"):
        read_corpus(tmp_path / "train.parquet")


@pytest.fixture
def parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def write(name, audio, group=2, **columns):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        table = pyarrow.table({"audio": audio, "text": list("abc"), **columns})
        parquet.write_table(table, path, row_group_size=group)
        return path

    return write


def encoded(tmp_path):
    files = [corpora.audio(tmp_path / "files" / f"{i}.flac", i) for i in range(3)]
    return [file.read_bytes() for file in files]


def test_parquet_with_audio_in_it(tmp_path, parquet):
    contents = encoded(tmp_path)
    cells = [{"bytes": content, "path": f"{i}.flac"} for i, content in enumerate(contents)]
    parquet("data/train-00000-of-00002.parquet", cells, speaker_id=[1, 2, 3])
    parquet("data/test-00000-of-00001.parquet", contents)
    assert format_of(tmp_path).name == "a folder of tables"
    utterances = read_corpus(tmp_path, "train")
    assert [(u.text, u.speaker) for u in utterances] == [("a", "1"), ("b", "2"), ("c", "3")]
    for utterance in [*utterances, *read_corpus(tmp_path, "test")]:
        seed = "abc".index(utterance.text)
        np.testing.assert_array_equal(utterance.samples() * 32768, corpora.samples(seed))
    assert [u.duration for u in decoded(utterances)] == [0.3] * 3


def test_parquet_with_paths(tmp_path, parquet):
    encoded(tmp_path)
    path = parquet("t.parquet", [f"files/{i}.flac" for i in range(3)])
    assert texts(read_corpus(path)) == ["a", "b", "c"]


def test_faults_of_parquet(tmp_path, parquet):
    contents = encoded(tmp_path)
    cells = [{"bytes": content, "path": None} for content in (contents[0], b"<html>", None)]
    path = parquet("t.parquet", cells)
    report = CorpusReport("skip")
    assert texts(decoded(read_corpus(path), report)) == ["a"]
    assert report.left_out == 2
    assert "Row 2 of" in report.first()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="is no Parquet file"):
        read_corpus(path)
