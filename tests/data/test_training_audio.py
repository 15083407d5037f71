import dataclasses

import numpy as np
import pytest
import soundfile

from int4_conformer.data import training_audio as training_audio_lib
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import with_noise
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.data.training_audio import training_audio
from int4_conformer.errors import UserError
from tests.support import batched


@pytest.fixture
def utterances(tmp_path):
    (tmp_path / "audio").mkdir()
    return batched.corpus(tmp_path / "audio")[:6]


def drawn(recordings):
    return [recordings.drawn(place) for place in range(len(recordings))]


def test_all_caches_give_the_same_samples(utterances, tmp_path):
    settings = {"folder": str(tmp_path / "cache")}
    memory, disk, none = (
        training_audio(utterances, CorpusReport(), cache=cache, **settings)
        for cache in ("memory", "disk", "none")
    )
    assert memory.is_held
    for other in (disk, none, disk):
        np.testing.assert_array_equal(other.lengths, memory.lengths)
        for one, two in zip(drawn(memory), drawn(other), strict=True):
            np.testing.assert_array_equal(one, two)
    assert training_audio(utterances, CorpusReport(), **settings).is_held


def test_a_disk_cache_is_used_again_and_mended(utterances, tmp_path, monkeypatch):
    told = []
    settings = {"cache": "disk", "folder": str(tmp_path / "cache"), "tell": told.append}
    whole = drawn(training_audio(utterances, CorpusReport(), **settings))
    (folder,) = (tmp_path / "cache").iterdir()
    again = training_audio(utterances, CorpusReport(), **settings)
    assert ": 0% of 0.0 GB are there" in told[0]
    assert ": 100% of 0.0 GB are there" in told[1]
    # Bytes of the second utterance, behind the first with its room.
    decode, decoded = training_audio_lib.decoded.__globals__["pcm16"], []
    monkeypatch.setitem(
        training_audio_lib.decoded.__globals__,
        "pcm16",
        lambda utterance: decoded.append(utterance.id) or decode(utterance),
    )
    with (folder / "samples.pcm").open("r+b") as file:
        file.seek(2 * (int(again.lengths[0] * 1.01) + 1600 + 10))
        file.write(b"xy")
    part = again.at([3, 1])
    for found, expected in zip(drawn(part), (whole[3], whole[1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert decoded == [utterances[1].audio]
    assert drawn(part)[1].size == whole[1].size
    assert len(decoded) == 1
    # Noise beside it is made whenever it is drawn.
    noisy = with_noise(again, 0.5, seed=0)
    assert len(noisy) == 12
    assert noisy.drawn(11).size == noisy.lengths[11]
    # A file that is written anew is another corpus.
    soundfile.write(utterances[0].audio, np.zeros(1600), 16000)
    assert not drawn(training_audio(utterances, CorpusReport(), **settings))[0].any()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_headers_tell_lengths_and_lies_are_found_when_drawn(tmp_path):
    signal = np.random.default_rng(0).uniform(-0.5, 0.5, 24000)
    files = {"a.flac": 16000, "b.ogg": 8000, "c.wav": 44100, "d.mp3": 16000, "e.opus": 48000}
    utterances = []
    for name, rate in files.items():
        kind = {"format": "OGG", "subtype": "OPUS"} if name == "e.opus" else {}
        soundfile.write(tmp_path / name, signal, rate, **kind)
        utterances.append(Utterance(audio=str(tmp_path / name), text="a", duration=float("nan")))
    utterances.append(dataclasses.replace(utterances[0], offset=0.25, duration=0.5))
    report = CorpusReport("skip")
    (tmp_path / "f.wav").write_text("<html>")
    broken = dataclasses.replace(utterances[0], audio=str(tmp_path / "f.wav"))
    recordings = training_audio([*utterances, broken], report, cache="none")
    assert report.left_out == 1
    assert [pcm.size for pcm in drawn(recordings)] == recordings.lengths.tolist()
    assert [u.duration for u in recordings] == (recordings.lengths / 16000).tolist()
    # Twice as long as its header, and as the segment, have it.
    soundfile.write(tmp_path / "a.flac", np.tile(signal, 2), 16000)
    with pytest.raises(UserError, match=r"a\.flac has 3\.00 s of audio, and its header says 1\.50"):
        recordings.drawn(0)


def test_without_room(utterances, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(training_audio_lib, "_SHARE_OF_MEMORY", 0.0)
    settings = {"folder": str(tmp_path / "file" / "cache")}
    with pytest.raises(UserError, match="cannot be written"):
        training_audio(utterances, CorpusReport(), cache="disk", **settings)
    told = []
    recordings = training_audio(utterances, CorpusReport(), tell=told.append, **settings)
    assert not recordings.is_held
    assert "decoded whenever it is drawn" in told[0]
    monkeypatch.setattr("int4_conformer.data.sample_stores._SHARE_OF_DISK", 0.0)
    with pytest.raises(UserError, match=r"has no room for the 0\.0 GB .* --cache_folder"):
        training_audio(utterances, CorpusReport(), cache="disk", folder=str(tmp_path / "other"))
