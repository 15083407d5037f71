import dataclasses
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data import recordings
from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from int4_conformer.data.shards import preparation as preparation_lib
from int4_conformer.data.shards.preparation import Preparation
from int4_conformer.data.shards.prepare_config import PrepareConfig
from int4_conformer.errors import UserError
from tests.support import commands, corpora

LENGTHS = (0.2, 0.5, 0.1, 0.1, 0.3, 0.4, 0.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Seven recordings, of which the sixth cannot be decoded, one a segment, in two splits."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = []
    for number, seconds in enumerate(LENGTHS):
        corpora.audio(folder / "audio" / f"{number}.wav", number, seconds)
        split = "dev" if number in (2, 3) else "train"
        line = {"audio": f"audio/{number}.wav", "text": f"Text {number}!", "split": split}
        lines.append(line | {"speaker": "ann", "duration": seconds})
    lines[1] |= {"offset": 0.1, "duration": 0.25}
    (folder / "audio" / "5.wav").write_bytes(b"<html>")
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def prepare(corpus, folder, on_error="skip", processes=1, **settings):
    report = CorpusReport(on_error)
    config = PrepareConfig(**settings)
    preparation = Preparation(read_corpus(corpus), folder, config, corpus)
    listed = preparation.run(report, on_error=on_error, processes=processes)
    return listed, report


def same(ones, others):
    """Whether two corpora are the same but for where they lie."""
    ones, others = (sorted(given, key=lambda u: (u.split, u.text)) for given in (ones, others))
    for one, other in zip(ones, others, strict=True):
        for field in ("text", "speaker", "split", "duration"):
            assert getattr(one, field) == getattr(other, field)
        np.testing.assert_array_equal(one.samples(), other.samples())


@pytest.mark.parametrize("encoding", ["flac", "pcm"])
def test_what_is_prepared_is_what_was_there(corpus, tmp_path, encoding):
    listed, report = prepare(corpus, tmp_path / "out", encoding=encoding, shards=2)
    assert [(shard["split"], shard["utterances"]) for shard in listed] == [
        ("train", 3),
        ("train", 1),
        ("dev", 1),
        ("dev", 1),
    ]
    assert format_of(tmp_path / "out").name == "a prepared corpus"
    utterances = read_corpus(tmp_path / "out")
    same(utterances, decoded(read_corpus(corpus), CorpusReport("skip")))
    assert {u.id for u in utterances} >= {"audio/0.wav", "audio/1.wav@0.1"}
    assert len(read_corpus(tmp_path / "out", "dev")) == 2
    with pytest.raises(UserError, match="no split 'test'; it has 'dev', 'train'"):
        read_corpus(tmp_path / "out", "test")
    (left_out,) = map(json.loads, (tmp_path / "out" / "left_out.jsonl").read_text().splitlines())
    assert left_out["why"] == "audio files that cannot be decoded"
    assert "5.wav" in left_out["what"]
    assert report.left_out == 1


def test_tensorflow_reads_the_shards(corpus, tmp_path):
    prepare(corpus, tmp_path, shards=1, encoding="pcm")
    dataset = tf.data.TFRecordDataset([str(path) for path in sorted(tmp_path.glob("*.tfrecord"))])
    names = ("id", "text", "speaker", "encoding", "audio")
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in names}
    spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in ("samples", "sample_rate")}
    examples = [tf.io.parse_single_example(record, spec) for record in dataset]
    assert [e["text"].numpy().decode() for e in examples] == [
        f"Text {number}!" for number in (2, 3, 0, 1, 4, 6)
    ]
    audio, rate = tf.audio.decode_wav(examples[0]["audio"])
    assert (int(rate), int(examples[0]["samples"])) == (16000, 1600)
    np.testing.assert_array_equal(audio[:, 0].numpy() * 32768, corpora.samples(2, 0.1))


def test_lengths_are_known_and_nothing_is_held(corpus, tmp_path, monkeypatch):
    prepare(corpus, tmp_path)
    utterances = read_corpus(tmp_path)
    monkeypatch.setattr(recordings, "pcm16", None)
    found = decoded(utterances, hold=True)
    monkeypatch.undo()
    assert not found.is_held
    assert found.lengths.tolist() == [u.samples().size for u in utterances]
    for pcm, utterance in zip(found.pcm([3, 0]), (utterances[3], utterances[0]), strict=True):
        np.testing.assert_array_equal(pcm / np.float32(32768), utterance.samples())


def test_another_rate_is_decoded_as_any_other(corpus, tmp_path):
    prepare(corpus, tmp_path, sample_rate=8000)
    utterances = read_corpus(tmp_path, "dev")
    assert [u.samples(8000).size for u in utterances] == [800, 800]
    assert decoded(utterances).is_held
    assert [u.duration for u in utterances] == [0.1, 0.1]


def test_a_run_that_was_stopped_goes_on(corpus, tmp_path, monkeypatch):
    whole, first = prepare(corpus, tmp_path / "whole", shards=2)
    write, written = preparation_lib.write_shard, []

    def stopping(shard, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard.path.name)
        return write(shard, *rest)

    monkeypatch.setattr(preparation_lib, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, tmp_path / "out", shards=2)
    with pytest.raises(UserError, match="is not finished; give the same `int4-conformer prepare`"):
        read_corpus(tmp_path / "out")
    # A shard that was cut off counts as not there, and one without an index.
    broken = tmp_path / "out" / written[0]
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    written.clear()
    monkeypatch.setattr(
        preparation_lib, "write_shard", lambda s, *r: (written.append(s.path), write(s, *r))[1]
    )
    again, second = prepare(corpus, tmp_path / "out", shards=2)
    assert len(written) == 3
    assert again == whole
    assert second.lines() == first.lines()
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    written.clear()
    prepare(corpus, tmp_path / "out", shards=2)
    assert not written


def test_several_processes_write_the_same(corpus, tmp_path):
    one, _ = prepare(corpus, tmp_path / "one", shards=2)
    said = []
    two = Preparation(read_corpus(corpus), tmp_path / "two", PrepareConfig(shards=2), corpus)
    listed = two.run(
        CorpusReport("skip"),
        processes=2,
        on_done=lambda done, decoded: said.append((done, decoded)),
    )
    assert listed == one
    files = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert next(files) == next(files)
    # Those within shards count, also those that could not be decoded.
    assert said == sorted(said)
    assert said[-1] == (7, 7)


def test_how_far_it_is_and_what_a_stop_keeps(corpus, tmp_path, monkeypatch):
    said, write = [], preparation_lib.write_shard

    def stopping(shard, config, on_error, on_utterance):
        write(shard, config, on_error, on_utterance)
        if len(list(tmp_path.glob("*.json"))) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(preparation_lib, "write_shard", stopping)
    result = commands.run("prepare", corpus, f"--output={tmp_path}", "--shards=2", "--processes=1")
    assert result.status == 130
    assert "stopped: 3 of 4 shards are written and stay; the same command goes on" in result.out
    monkeypatch.undo()
    preparation = Preparation(read_corpus(corpus), tmp_path, PrepareConfig(shards=2), corpus)
    preparation.run(CorpusReport("skip"), on_done=lambda *of: said.append(of))
    assert said == [(3, 0), (5, 0), (6, 0), (7, 1)]


def test_a_fault_may_stop_it(corpus, tmp_path):
    with pytest.raises(UserError, match=r"Line 6 of .*5\.wav"):
        prepare(corpus, tmp_path / "out", on_error="stop")
    assert not list((tmp_path / "out").glob("*.tfrecord"))


def test_another_plan_is_refused(corpus, tmp_path):
    prepare(corpus, tmp_path / "out")
    for settings in ({"shards": 3}, {"encoding": "pcm"}):
        with pytest.raises(UserError, match="holds shards of another corpus, or with other settin"):
            prepare(corpus, tmp_path / "out", **settings)
    with pytest.raises(UserError, match="is not empty; choose another folder"):
        prepare(corpus, corpus)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("train-00000-of-00001.tfrecord", r"tfrecord has [\d,]+ bytes, not [\d,]+; copy it again"),
        ("train-00000-of-00001.json", r"json is not what was written; copy it again"),
        ("prepared.json", r"prepared\.json cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused(corpus, tmp_path, file, sentence):
    prepare(corpus, tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match=sentence):
        read_corpus(tmp_path)
    if file != "prepared.json":
        report = CorpusReport("skip")
        assert {u.split for u in read_corpus(tmp_path, report=report)} == {"dev"}
        path.unlink()
        with pytest.raises(UserError, match="cannot be read"):
            read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("prepared.json", '"shards": [', '"shards": [3, ', r"prepared\.json is damaged"),
        ("prepared.json", '"sample_rate": 16000', '"sample_rate": 0', r"prepared\.json is damaged"),
        ("prepared.json", '"bytes": ', '"bytes": -', r"prepared\.json is damaged"),
        ("prepared.json", '"file": "', '"file": "..', "cannot be read|no index"),
        ("train-00000-of-00001.json", '"start": ', '"start": 9', "has no index that can be read"),
        ("train-00000-of-00001.json", '"text": ', '"texts": ', "has no index that can be read"),
        ("train-00000-of-00001.json", '"utterances": ', '"": ', "has no index that can be read"),
        ("train-00000-of-00001.json", "{", "[" * 100_000 + "{", "has no index that can be read"),
    ],
)
def test_a_folder_that_was_forged_is_refused(corpus, tmp_path, file, old, new, sentence):
    """With the right checksum."""
    prepare(corpus, tmp_path)
    path, listed = tmp_path / file, tmp_path / "prepared.json"
    before = path.read_text()
    assert old in before
    after = before.replace(old, new)
    path.write_text(after)
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (before, after)]
    listed.write_text(listed.read_text().replace(*digests))
    with pytest.raises(UserError, match=sentence):
        read_corpus(tmp_path)


def test_a_later_version_is_refused(corpus, tmp_path):
    prepare(corpus, tmp_path)
    path = tmp_path / "prepared.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(UserError, match="is of version 2, and this program reads 1"):
        read_corpus(tmp_path)


def test_a_folder_in_the_cloud_is_read(corpus, tmp_path):
    prepare(corpus, tmp_path / "out", shards=2)
    with pytest.raises(UserError, match=r"ram://bucket/shards holds no prepared corpus; prepare"):
        read_corpus("ram://bucket/shards")
    with pytest.raises(UserError, match=r"http://a/b cannot be read \(File system scheme 'http'"):
        read_corpus("http://a/b")
    tf.io.gfile.makedirs("ram://bucket/shards")
    for file in (tmp_path / "out").iterdir():
        tf.io.gfile.copy(str(file), f"ram://bucket/shards/{file.name}", overwrite=True)
    there = read_corpus("ram://bucket/shards")
    same(there, read_corpus(tmp_path / "out"))
    assert [pcm.size for pcm in decoded(there).pcm([2, 0])] == [
        there[place].samples().size for place in (2, 0)
    ]
    tf.io.gfile.remove("ram://bucket/shards/train-00000-of-00002.tfrecord")
    with pytest.raises(UserError, match=r"train-00000-of-00002\.tfrecord cannot be read"):
        read_corpus("ram://bucket/shards")


@pytest.mark.parametrize("shards", [1, 2, 3, 5, 9])
def test_shards_part_the_corpus(corpus, tmp_path, shards):
    one = read_corpus(corpus, "dev")[0]
    utterances = [
        dataclasses.replace(one, text=str(number), duration=seconds)
        for number, seconds in enumerate((9.0, 0.1, 0.1, float("nan"), 0.1))
    ]
    parts = list(
        preparation_lib._shards(utterances, tmp_path, PrepareConfig(shards=shards), "/", "")
    )
    assert len(parts) == min(shards, 5)
    assert all(part.utterances for part in parts)
    assert [u.text for part in parts for u in part.utterances] == list("01234")
    assert len({part.path for part in parts}) == len(parts)


@pytest.mark.parametrize(
    "settings",
    [{"encoding": "mp3"}, {"shards": -1}, {"shard_megabytes": 0.0}, {"sample_rate": 10}],
)
def test_settings_are_checked(settings):
    with pytest.raises(UserError, match="Received: "):
        PrepareConfig(**settings)
