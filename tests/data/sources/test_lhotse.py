import gzip
import json

import numpy as np
import pytest

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError
from tests.support import corpora
from tests.support.corpora import cut


@pytest.fixture
def folder(tmp_path):
    corpora.audio(tmp_path / "a.wav", 1, 1.0)
    return tmp_path


def written(folder, *lines, name="cuts_train.jsonl.gz"):
    content = "\n".join(lines).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return folder / name


@pytest.mark.parametrize("name", ["cuts_dev.jsonl", "cuts_dev-clean.jsonl.gz"])
def test_each_supervision_is_an_utterance(folder, name):
    supervisions = [
        {"start": -0.1, "duration": 0.2, "text": "one"},
        {"start": 0.2, "duration": 0.1, "text": "two", "speaker": "bob"},
    ]
    path = written(
        folder,
        cut("x", folder / "a.wav", start=0.25, supervisions=supervisions),
        cut("all", "a.wav", start=0.0, duration=1.0),
        name=name,
    )
    assert format_of(path).name == format_of(folder).name == "cuts of Lhotse"
    one, two, whole = read_corpus(path, "dev")
    assert [(u.text, u.speaker) for u in (one, two)] == [("one", "ann"), ("two", "bob")]
    pcm = corpora.samples(1, 1.0)
    np.testing.assert_array_equal(one.samples() * 32768, pcm[2400:5600])
    np.testing.assert_array_equal(two.samples() * 32768, pcm[7200:8800])
    assert (whole.offset, whole.duration) == (None, 1.0)
    with pytest.raises(UserError, match="no split 'train'; it has 'dev'"):
        read_corpus(path, "train")


def test_a_channel(folder):
    stereo = np.stack([corpora.samples(3, 1.0), corpora.samples(4, 1.0)], axis=1)
    corpora.soundfile.write(folder / "b.wav", stereo, 16000)
    line = json.loads(cut("x", folder / "b.wav", channel=1))
    line["recording"]["sources"][0]["channels"] = [0, 1]
    (utterance,) = read_corpus(written(folder, json.dumps(line)))
    np.testing.assert_array_equal(utterance.samples() * 32768, stereo[:4800, 1])


def test_a_folder_of_several_files(folder):
    for split in ("train", "dev"):
        written(folder, cut(split, "a.wav"), name=f"cuts_{split}.jsonl.gz")
    assert [u.text for u in read_corpus(folder)] == ["dev", "train"]
    assert [u.text for u in read_corpus(folder, "train")] == ["train"]


def _changed(**recording):
    line = json.loads(cut("bad", "a.wav"))
    line["recording"] |= recording
    return json.dumps(line)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("not json", "Line 2 of .* is no cut"),
        ("[]", "Line 2 of .* is no cut"),
        ('{"id": "x"}', "the cut x has no recording"),
        ('{"type": "MonoCut"}', "Line 2 of .* has no 'id'"),
        (cut("good", "a.wav"), "Line 2 of .* has the id good of an earlier cut"),
        (cut("bad", "gone.wav"), r"Line 2 of .* names the audio file .*gone\.wav"),
        (cut("bad", "a.wav", type="MixedCut"), "a MixedCut is not read"),
        (cut("bad", "a.wav", recording=None), "the cut bad has no recording"),
        (cut("bad", "a.wav", supervisions=[{"start": 0, "duration": 1}]), "no supervision with t"),
        (
            cut("bad", "a.wav", supervisions=[{"start": 0, "duration": -1, "text": "a"}]),
            "are no times",
        ),
        ("[" * 100_000, "Line 2 of .* is no cut .nested too deep"),
        (cut("bad", "a.wav", start=10**400), "Line 2 of .* is no cut"),
        (cut("bad", "a.wav", start=1e300), "has a time of more than 3e.10 s"),
        (_changed(sources=[[]]), "Line 2 of .* is no"),
        (_changed(transforms=[{"name": "Speed"}]), "the recording of bad is to be transformed"),
        (_changed(sources=[]), "the recording of bad is of 0 files"),
        (_changed(sources=[{"type": "url", "source": "", "channels": [0]}]), "bad is a 'url'"),
    ],
)
def test_faults_are_named_and_left_out(folder, bad, sentence):
    path = written(folder, cut("good", "a.wav"), bad, "")
    with pytest.raises(UserError, match=sentence):
        read_corpus(path)
    report = CorpusReport("skip")
    assert [u.text for u in read_corpus(path, report=report)] == ["good"]
    assert report.left_out == 1


def test_commands_are_run_only_if_allowed(folder):
    source = {"type": "command", "source": f"cat {folder / 'a.wav'}", "channels": [0]}
    path = written(folder, _changed(sources=[source]))
    with pytest.raises(UserError, match=r"Line 1 of .* is made by a command, `cat .*--allow"):
        read_corpus(path, report=CorpusReport("skip"))
    (utterance,) = read_corpus(path, allow_commands=True)
    np.testing.assert_array_equal(utterance.samples() * 32768, corpora.samples(1, 1.0)[:4800])


def test_other_line_ends_and_a_byte_order_mark(folder):
    path = written(folder, cut("a", "a.wav"), name="cuts.jsonl")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n\r\n")
    assert [u.text for u in read_corpus(path)] == ["a"]


def test_a_file_that_unpacks_to_more_than_it_should(folder, monkeypatch):
    path = written(folder, *(cut(str(i), "a.wav") for i in range(50)))
    monkeypatch.setattr("int4_conformer.data.sources.entry.MOST_UNPACKED", 1000)
    with pytest.raises(UserError, match="has more than 1,000 bytes when it is unpacked"):
        read_corpus(path)
    assert len(read_corpus(written(folder, cut("a", "a.wav"), name="cuts.jsonl"))) == 1


def test_a_file_that_is_cut_off(folder):
    path = written(folder, *(cut(str(i), "a.wav") for i in range(50)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cannot be read \(Compressed file ended"):
        read_corpus(path)
