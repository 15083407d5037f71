import numpy as np
import pytest

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from int4_conformer.errors import UserError
from tests.support import corpora


@pytest.fixture
def folder(tmp_path):
    """A recipe's data/train, of two recordings; paths are relative to the recipe."""
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    corpora.audio(tmp_path / "wavs" / "a.wav", 1, 1.0)
    corpora.audio(tmp_path / "wavs" / "b.flac", 2, 0.5)
    (folder / "wav.scp").write_text("ra wavs/a.wav\nrb wavs/b.flac\n")
    (folder / "text").write_text("ra HELLO THERE\nrb GOOD DAY\n")
    (folder / "utt2spk").write_text("ra ann\nrb bob\n")
    return folder


def texts(utterances):
    return [utterance.text for utterance in utterances]


def test_recordings_are_utterances(folder):
    assert format_of(folder).name == "a Kaldi folder"
    first, second = read_corpus(folder)
    assert (first.text, first.speaker, first.split) == ("HELLO THERE", "ann", "train")
    assert (first.duration, first.offset) == (1.0, None)
    assert (second.duration, second.speaker) == (0.5, "bob")
    np.testing.assert_array_equal(first.samples() * 32768, corpora.samples(1, 1.0))


def test_segments_are_utterances(folder):
    (folder / "segments").write_text("u1 ra 0.25 0.5\nu2 ra 0.5 -1\nu3 rb 0 -1\n")
    (folder / "text").write_text("u1 ONE\nu2 TWO\nu3 THREE\n")
    (folder / "utt2spk").write_text("u1 ann\n")
    utterances = read_corpus(folder)
    assert texts(utterances) == ["ONE", "TWO", "THREE"]
    assert [u.speaker for u in utterances] == ["ann", "", ""]
    whole = corpora.samples(1, 1.0)
    for utterance, expected in zip(
        utterances, (whole[4000:8000], whole[8000:], corpora.samples(2, 0.5)), strict=True
    ):
        np.testing.assert_array_equal(utterance.samples() * 32768, expected)
    (folder / "reco2dur").write_text("ra 1.0\n")
    assert [u.duration for u in read_corpus(folder)] == [0.25, 0.5, 0.5]


def test_a_channel_of_a_segment(folder):
    stereo = np.stack([corpora.samples(3), corpora.samples(4)], axis=1)
    path = folder.parents[1] / "wavs" / "c.wav"
    corpora.soundfile.write(path, stereo, 16000)
    (folder / "wav.scp").write_text("rc wavs/c.wav\n")
    (folder / "segments").write_text("u1 rc 0.1 0.2 B\nu2 rc 0.1 0.2 0\n")
    (folder / "text").write_text("u1 ONE\nu2 TWO\n")
    second, first = read_corpus(folder)
    np.testing.assert_array_equal(second.samples() * 32768, stereo[1600:3200, 1])
    np.testing.assert_array_equal(first.samples() * 32768, stereo[1600:3200, 0])


def test_a_folder_of_folders_has_their_names_as_splits(folder):
    dev = folder.with_name("dev_clean")
    dev.mkdir()
    for file in folder.iterdir():
        (dev / file.name).write_text(file.read_text())
    assert {u.split for u in read_corpus(folder.parent)} == {"train", "dev_clean"}
    assert len(read_corpus(folder.parent, "dev_clean")) == 2
    with pytest.raises(UserError, match="it has 'dev_clean', 'train'"):
        read_corpus(folder.parent, "dev")
    # One alone is what its name speaks of.
    assert {u.split for u in read_corpus(dev)} == {"dev"}


def test_commands_are_run_only_if_allowed(folder):
    path = folder.parents[1] / "wavs" / "a.wav"
    (folder / "wav.scp").write_text(f"ra cat {path} |\nrb exit 3 |\n")
    for on_error in ("skip", "stop"):
        with pytest.raises(UserError, match=r"Line 1 of .*wav.scp is a command, `cat .*--allow_co"):
            read_corpus(folder, report=CorpusReport(on_error))
    utterances = read_corpus(folder, allow_commands=True)
    report = CorpusReport("skip")
    (recording,) = decoded(utterances, report)
    assert (recording.text, recording.duration) == ("HELLO THERE", 1.0)
    np.testing.assert_array_equal(recording.samples() * 32768, corpora.samples(1, 1.0))
    assert "`exit 3` ended with status 3" in report.first()
    assert report.left_out == 1


FAULTS = {
    "wav.scp": [
        ("ra wavs/a.wav\nrb wavs/gone.wav\n", "Line 2 of .*wav.scp names the audio .*gone.wav"),
        (f"ra wavs/a.wav\nrb {'b' * 300}\n", "Line 2 of .*wav.scp names the audio file"),
        ("ra wavs/a.wav\nrb\n", "Line 2 of .*wav.scp has an id and nothing else"),
        ("ra wavs/a.wav\nra wavs/b.flac\n", "Line 2 of .*wav.scp has the id ra of an earlier line"),
        ("ra wavs/a.wav\n", "Line 2 of .*text is of rb, for which there is no recording"),
    ],
    "text": [
        ("ra HI\n", "Line 2 of .*wav.scp: .*text has no line for rb; add it"),
        ("ra HI\nrb \n", "Line 2 of .*text has no text"),
        (b"ra HI\nrb \xe9\n", "Line 2 of .*text is not UTF-8"),
    ],
    "segments": [
        ("ra ra 0 1\nrb rb 0\n", "Line 2 of .*segments must be `UTTERANCE RECORDING START END`"),
        ("ra ra 0 1\nrb rb 0.2 0.1\n", "Line 2 of .*: the segment must begin at 0 or later"),
        ("ra ra 0 1\nrb rb 0 1 z\n", "Line 2 of .*: the channel must be A, B or a number"),
        ("ra ra 0 1\nrb gone 0 1\n", "Line 2 of .*segments is of the recording gone"),
        ("ra ra 0 1\nrb rb 7 -1\n", r"ends at 0.5 s, before the `offset` of 7 s"),
    ],
}


@pytest.mark.parametrize(
    ("file", "content", "sentence"), [(f, *case) for f, cases in FAULTS.items() for case in cases]
)
def test_faults_are_named_and_left_out(folder, file, content, sentence):
    content = content if isinstance(content, bytes) else content.encode()
    (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_corpus(folder)
    report = CorpusReport("skip")
    assert [u.origin.split(",")[0][:6] for u in read_corpus(folder, report=report)] == ["Line 1"]
    assert report.left_out >= 1


def test_a_segment_beyond_the_end_is_left_out_when_decoded(folder):
    (folder / "segments").write_text("ra ra 0.5 0.9\nrb rb 0.6 0.9\n")
    report = CorpusReport("skip")
    assert texts(decoded(read_corpus(folder), report)) == ["HELLO THERE"]
    assert "b.flac ends before 0.6 s, where the segment begins" in report.first()


def test_other_line_ends_and_a_byte_order_mark(folder):
    for file in folder.iterdir():
        content = file.read_text().replace(" ", "\t", 1).replace("\n", "\r\n\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert texts(read_corpus(folder)) == ["HELLO THERE", "GOOD DAY"]


def test_what_cannot_be_read_at_all(folder):
    (folder / "wav.scp").write_text("ra feats.ark:123\n")
    with pytest.raises(UserError, match=r"names a place in an archive, feats.ark:123"):
        read_corpus(folder)
    (folder / "wav.scp").write_text("rc wavs/a.wav\n")
    with pytest.raises(UserError, match=r"No utterance of .* can be used"):
        read_corpus(folder, report=CorpusReport("skip"))
    (folder / "text").unlink()
    with pytest.raises(UserError, match=r"has a wav.scp and no file `text`"):
        read_corpus(folder)
