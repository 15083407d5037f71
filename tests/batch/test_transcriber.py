import math

import numpy as np
import pytest
import soundfile

from int4_conformer import Recognizer
from int4_conformer.audio import audio_files
from int4_conformer.batch import Recording, Transcriber, TranscriberConfig
from int4_conformer.errors import UserError
from int4_conformer.lite.result_json import words_json
from int4_conformer.search.beam_config import BeamConfig
from tests.batch import kit


@pytest.fixture(scope="module")
def transcriber():
    return Transcriber(kit.MODEL)


def row(transcriber, path, **segment):
    (found,) = transcriber.rows([Recording(audio=str(path), **segment)])
    return found


def test_rows_are_what_the_recogniser_says(transcriber):
    recognizer = Recognizer(kit.MODEL)
    found = list(transcriber.rows([Recording(audio=str(path)) for path in kit.CLIPS]))
    assert [each["text"] for each in found] == kit.TEXTS
    for each, path in zip(found, kit.CLIPS, strict=True):
        samples = audio_files.read(path)
        heard = recognizer.recognize(samples)
        assert each["audio"] == str(path)
        assert each["duration"] == pytest.approx(len(samples) / 16000, abs=1e-3)
        assert each["words"] == words_json(heard.words)
        logs = [math.log(word.confidence) for word in heard.words]
        assert each["confidence"] == pytest.approx(math.exp(np.mean(logs)), abs=1e-4)
        assert "error" not in each
        assert "offset" not in each


def test_a_segment_is_as_a_file_of_its_own(transcriber, tmp_path):
    pieces = [audio_files.read(path) for path in kit.CLIPS]
    soundfile.write(tmp_path / "all.flac", np.concatenate(pieces), 16000)
    offset, segments = 0.0, []
    for piece in pieces:
        segments.append({"offset": offset, "duration": len(piece) / 16000})
        offset += len(piece) / 16000
    segments[-1]["duration"] = None
    path = str(tmp_path / "all.flac")
    found = list(transcriber.rows([Recording(audio=path, **segment) for segment in segments]))
    assert [each["text"] for each in found] == kit.TEXTS
    for each, segment, piece in zip(found, segments, pieces, strict=True):
        assert each["offset"] == segment["offset"]
        assert each["duration"] == pytest.approx(len(piece) / 16000, abs=1e-3)


def test_long_recordings(transcriber, tmp_path):
    one = audio_files.read(kit.CLIPS[1])
    soundfile.write(tmp_path / "long.flac", np.tile(one, 90), 16000)
    found = row(transcriber, tmp_path / "long.flac")
    assert found["duration"] == pytest.approx(90 * len(one) / 16000)
    assert found["duration"] > 40
    assert found["words"][-1]["end"] > 40


def test_silence_has_no_words_and_no_confidence(transcriber, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    found = row(transcriber, tmp_path / "a.wav")
    assert (found["text"], found["words"], found["confidence"]) == ("", [], None)


def test_a_channel(tmp_path):
    speech = audio_files.read(kit.CLIPS[1])
    soundfile.write(tmp_path / "a.flac", np.stack([0 * speech, speech], axis=1), 16000)
    for channel, text in (("left", ""), ("2", kit.TEXTS[1])):
        heard = Transcriber(kit.MODEL, TranscriberConfig(channel=channel))
        assert row(heard, tmp_path / "a.flac")["text"] == text
        assert row(heard, tmp_path / "a.flac", offset=0.0, duration=9.0)["text"] == text


def test_what_is_wrong_with_a_file_is_in_its_row(transcriber, tmp_path):
    (tmp_path / "page.wav").write_text("<html>")
    for path, sentence in [
        (tmp_path / "absent.wav", f"There is no audio file {tmp_path}/absent.wav; check the path."),
        (tmp_path / "page.wav", f"{tmp_path}/page.wav is not audio"),
        (tmp_path, f"{tmp_path} is a folder"),
    ]:
        found = row(transcriber, path)
        assert found.keys() == {"audio", "error"}
        assert found["error"].startswith(sentence)
    found = row(transcriber, kit.CLIPS[0], offset=99.0, duration=1.0)
    assert found.keys() == {"audio", "offset", "error"}
    assert "ends before 99 s" in found["error"]


def test_what_is_odd_is_noted(transcriber, tmp_path):
    whole = kit.write_noise(tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:20000])
    (note,) = row(transcriber, tmp_path / "cut.wav")["notes"]
    assert note.startswith(f"{tmp_path}/cut.wav ends early")


def test_a_defect_is_in_the_row_too(transcriber, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(audio_files, "opened", broken)
    error = row(transcriber, kit.CLIPS[0])["error"]
    assert "could not be recognised (ZeroDivisionError: division by zero)" in error


def test_copies_of_files_are_called_by_their_names(tmp_path):
    """As files of buckets are, that have to be copied to be read."""
    from int4_conformer.batch.file_access import LocalFiles

    class Copied(LocalFiles):
        def local(self, path):
            return super().local(path.replace("gs://", f"{tmp_path}/"))

    (tmp_path / "bad.wav").write_text("<html>")
    whole = kit.write_noise(tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:20000])
    heard = Transcriber(kit.MODEL, files=Copied())
    bad, cut = heard.rows([Recording(audio="gs://bad.wav"), Recording(audio="gs://cut.wav")])
    assert bad["audio"] == "gs://bad.wav"
    assert bad["error"].startswith("gs://bad.wav is not audio")
    assert cut["notes"][0].startswith("gs://cut.wav ends early")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channel": "middle"}, "middle"),
        ({"part_seconds": 1.0}, "part_seconds"),
        ({"only": True}, "`only` needs phrases"),
    ],
)
def test_settings_are_checked(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        TranscriberConfig(**settings)


def test_what_the_file_cannot_search_is_refused_at_once():
    # It is of before there were other searches than the greedy one.
    with pytest.raises(UserError, match="export"):
        Transcriber(kit.MODEL, TranscriberConfig(beam=BeamConfig()))
