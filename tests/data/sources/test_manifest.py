import json

import numpy as np
import pytest
import soundfile

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.manifest import read_manifest
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "audio").mkdir()
    for name, samples in (("a", 8000), ("b", 4000)):
        soundfile.write(tmp_path / "audio" / f"{name}.wav", np.full(samples, 0.25), 16000)
    return tmp_path


def write(folder, *entries):
    path = folder / "manifest.jsonl"
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_reads_every_key(folder):
    entry = {
        "audio": "audio/a.wav",
        "text": "Hello, there\u2028!",
        "duration": 0.6,
        "speaker": "ann",
        "split": "dev",
        "note": "ignored",
    }
    path = folder / "manifest.jsonl"
    path.write_text(json.dumps(entry, ensure_ascii=False) + "\n\n", encoding="utf-8")
    assert read_manifest(path) == [
        Utterance(
            audio=str(folder / "audio" / "a.wav"),
            text="Hello, there\u2028!",
            duration=0.6,
            speaker="ann",
            split="dev",
        )
    ]


def test_fills_in_what_is_absent(folder):
    absolute = str(folder / "audio" / "b.wav")
    (utterance,) = read_manifest(write(folder, {"audio": absolute, "text": ""}))
    assert utterance == Utterance(audio=absolute, text="", duration=0.25, speaker="", split="train")
    np.testing.assert_array_equal(utterance.samples(), np.full(4000, 0.25, np.float32))
    assert utterance.samples(8000).size == 2000


def test_keeps_one_split(folder):
    path = write(
        folder,
        {"audio": "audio/a.wav", "text": "a", "split": "dev"},
        {"audio": "audio/b.wav", "text": "b"},
    )
    assert [u.text for u in read_manifest(path)] == ["a", "b"]
    assert [u.text for u in read_manifest(path, "dev")] == ["a"]
    assert [u.text for u in read_manifest(path, "train")] == ["b"]
    with pytest.raises(UserError, match="no split 'test'; it has 'dev', 'train'"):
        read_manifest(path, "test")


GOOD = {"audio": "audio/a.wav", "text": "a"}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("not json", "Line 2 of .* is not JSON"),
        ("[" * 100_000, "Line 2 of .* is not JSON .nested too deep"),
        ('{"duration": ' + "1" * 5000 + "}", "Line 2 of .* is not JSON .*a number too long"),
        ({"audio": "audio/a.wav", "text": "a", "duration": 10**400}, "Line 2 .* more than 3e.10 s"),
        ({"audio": "audio/a.wav", "text": "a", "offset": 1e300}, "Line 2 .* more than 3e.10 s"),
        ('["a"]', "Line 2 of .* is not a JSON object"),
        ({"text": "a"}, "Line 2 of .* has no key 'audio'"),
        ({"audio": "audio/a.wav"}, "Line 2 of .* has no key 'text'"),
        ({**GOOD, "text": 5}, "Line 2 of .*: 'text' must be a string. Received: 5"),
        ({**GOOD, "duration": "1"}, "'duration' must be a number of seconds. Received: '1'"),
        ({**GOOD, "duration": True}, "'duration' must be a number of seconds. Received: True"),
        ({**GOOD, "duration": 0}, "'duration' must be positive and finite. Received: 0"),
        ({**GOOD, "duration": float("nan")}, "positive and finite. Received: nan"),
        ({**GOOD, "split": None}, "'split' must be a string. Received: None"),
        ({**GOOD, "audio": "audio/c.wav"}, "Line 2 of .* names the audio file .*c.wav, which does"),
    ],
)
def test_names_the_line(folder, bad, message):
    with pytest.raises(UserError, match=message):
        read_manifest(write(folder, GOOD, bad))


def test_refuses_what_is_no_manifest(folder):
    with pytest.raises(UserError, match=r"no manifest .*absent"):
        read_manifest(folder / "absent.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        read_manifest(folder)
    with pytest.raises(UserError, match="is empty"):
        read_manifest(write(folder, "", " "))
    (folder / "manifest.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_manifest(folder / "manifest.jsonl")


def test_skips_what_is_broken_and_says_so(folder):
    path = write(folder, GOOD, "not json", {"text": "a"}, {**GOOD, "audio": "gone.wav"}, GOOD)
    report = CorpusReport("skip")
    assert len(read_manifest(path, report=report)) == 2
    # For another split: what was said is not said again.
    assert len(read_manifest(path, "train", report)) == 2
    assert report.left_out == 3
    shown = "\n".join(report.lines())
    assert all(f"Line {number} of {path}" in shown for number in (2, 3, 4))
    assert "2 lines that are malformed" in shown
    assert "1 audio files that are missing" in shown


def test_a_line_of_another_encoding_is_one_line(folder):
    path = write(folder, GOOD)
    path.write_bytes(
        b"\xef\xbb\xbf" + path.read_bytes() + b'\n{"audio": "\xe9.wav", "text": "a"}\n'
    )
    report = CorpusReport("skip")
    assert len(read_manifest(path, report=report)) == 1
    assert "Line 2 of" in report.first()
    assert "is not UTF-8" in report.first()


@pytest.mark.parametrize("line", ["nonsense", json.dumps({**GOOD, "audio": "gone.wav"})])
def test_a_manifest_of_nothing_but_faults_is_an_error(folder, line):
    path = write(folder, line, line)
    with pytest.raises(UserError, match=r"No line of .* can be used\. 2 .*: Line 1 of"):
        read_manifest(path, report=CorpusReport("skip"))


def test_other_keys_are_named_once(folder):
    lines = [GOOD, {**GOOD, "pseudo": True, "note": 1}, {**GOOD, "pseudo": True}]
    path, report = write(folder, *lines), CorpusReport()
    assert len(read_manifest(path, report=report)) == 3
    assert report.lines() == [
        "used, but odd:",
        "       2 keys of lines that mean nothing here",
        f"         'pseudo', as in line 2 of {path}",
        f"         'note', as in line 2 of {path}",
    ]


def test_the_keys_of_nemo(folder):
    audio = str(folder / "audio" / "a.wav")
    lines = [
        {"audio_filepath": "audio/a.wav", "text": "a", "offset": 0.125, "duration": 0.25},
        {"audio_filepath": "audio/a.wav", "text": "b", "offset": 0},
        {"audio_filepath": "audio/a.wav", "text": "c", "duration": 0.5},
    ]
    report = CorpusReport()
    part, rest, whole = read_manifest(write(folder, *lines), report=report)
    assert report.lines() == []
    assert part == Utterance(audio=audio, text="a", duration=0.25, offset=0.125)
    assert (rest.offset, rest.duration) == (0.0, 0.5)
    assert whole.offset is None
    assert [u.samples().size for u in (part, rest, whole)] == [4000, 8000, 8000]
    with pytest.raises(UserError, match=r"a.wav ends at 0.5 s, before the `offset` of 2 s"):
        read_manifest(write(folder, {**GOOD, "offset": 2}))
    with pytest.raises(UserError, match="'offset' must be finite and not negative"):
        read_manifest(write(folder, {**GOOD, "offset": -1}))


@pytest.mark.parametrize("corpus", ["an4", "fsdd"])
def test_reads_real_corpora(shared_data, corpus):
    utterances = read_manifest(shared_data / corpus / "manifest.jsonl", "train")
    assert len(utterances) == {"an4": 870, "fsdd": 2700}[corpus]
    first = utterances[0]
    assert first.samples().size / 16000 == pytest.approx(first.duration, abs=0.051)
