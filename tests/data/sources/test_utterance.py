import numpy as np
import pytest
import soundfile

from int4_conformer.audio import audio_files
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seconds of noise in the formats that people have."""
    folder = tmp_path_factory.mktemp("segments")
    for name, rate, channels in (
        *(("a.wav", 16000, 1), ("a.flac", 16000, 1), ("a.ogg", 16000, 1), ("a.mp3", 16000, 1)),
        *(("slow.wav", 8000, 1), ("fast.flac", 44100, 1), ("two.wav", 16000, 2)),
    ):
        noise = RNG.uniform(-0.3, 0.3, [2 * rate, channels])
        soundfile.write(folder / name, noise, rate)
    return folder


def segment(path, offset, duration):
    return Utterance(audio=str(path), text="a", duration=duration, offset=offset)


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "slow.wav", "fast.flac", "two.wav"]
)
@pytest.mark.parametrize(("offset", "duration"), [(0.0, 0.5), (0.7312, 0.25), (1.5, 9.0)])
def test_a_segment_is_a_slice_of_the_whole(folder, name, offset, duration):
    whole = audio_files.read(folder / name)
    first, count = round(offset * 16000), round(duration * 16000)
    found = segment(folder / name, offset, duration).samples()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, whole[first : first + count])


def test_little_is_decoded_where_that_is_possible(folder, monkeypatch):
    monkeypatch.setattr(audio_files, "read", None)
    for name in ("a.wav", "a.flac"):
        assert segment(folder / name, 1.0, 0.5).samples().size == 8000


def test_a_file_that_was_written_anew_is_decoded_anew(tmp_path):
    for samples in (16000, 8000):
        soundfile.write(tmp_path / "a.ogg", RNG.uniform(-0.3, 0.3, samples), 16000)
        whole = audio_files.read(tmp_path / "a.ogg")
        np.testing.assert_array_equal(segment(tmp_path / "a.ogg", 0.1, 9).samples(), whole[1600:])


def test_names_the_segment(folder):
    with pytest.raises(UserError, match=r"a.wav ends before 5 s, where the segment begins"):
        segment(folder / "a.wav", 5.0, 1.0).samples()
    with pytest.raises(UserError, match=r"no audio file .*gone.wav"):
        segment(folder / "gone.wav", 0.0, 1.0).samples()
    assert segment(folder / "a.wav", 0.25, 1.0).id == f"{folder / 'a.wav'}@0.25"
    assert Utterance(audio="/a.wav", text="", duration=1, origin="Line 3 of m").where == (
        "Line 3 of m (/a.wav)"
    )
