import concurrent.futures
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from int4_conformer.audio import audio_files
from int4_conformer.errors import UserError
from tests.support import odd_files


def tone(rate, seconds=0.5, frequency=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(
        np.float32
    )


def test_reads_16_bit_samples_exactly(tmp_path):
    codes = np.array([0, 1, -1, 12345, -32768, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", codes, 16000)
    samples = audio_files.read(tmp_path / "a.wav")
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, codes / np.float32(32768))


@pytest.mark.parametrize(
    ("name", "form", "subtype", "rate"),
    [
        ("a.wav", "WAV", "PCM_24", 44100),
        ("a.flac", "FLAC", "PCM_16", 8000),
        ("a.ogg", "OGG", "VORBIS", 22050),
        ("a.opus", "OGG", "OPUS", 48000),
        ("a.mp3", "MP3", "MPEG_LAYER_III", 32000),
    ],
)
def test_reads_each_format_at_any_rate(tmp_path, name, form, subtype, rate):
    soundfile.write(tmp_path / name, tone(rate), rate, format=form, subtype=subtype)
    samples = audio_files.read(tmp_path / name)
    assert samples.shape == pytest.approx((8000,), abs=800)
    assert audio_files.duration(tmp_path / name) == pytest.approx(0.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples[1000:7000] * np.hanning(6000)))
    assert np.argmax(spectrum) * 16000 / 6000 == pytest.approx(440, abs=3)
    assert np.abs(samples[1000:7000]).max() == pytest.approx(0.5, abs=0.05)


def test_averages_channels(tmp_path):
    stereo = np.stack([tone(16000), np.zeros(8000, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    np.testing.assert_allclose(audio_files.read(tmp_path / "a.wav"), stereo[:, 0] / 2)


def test_takes_the_channel_asked_for(tmp_path):
    stereo = np.stack([tone(16000), tone(16000, frequency=880.0)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    for channel, index in (("left", 0), (2, 1)):
        samples = audio_files.read(tmp_path / "a.wav", channel=channel)
        np.testing.assert_array_equal(samples, stereo[:, index])
    with pytest.raises(UserError, match=r"a\.wav has no channel '3'; it has 2"):
        audio_files.read(tmp_path / "a.wav", channel="3")
    with pytest.raises(UserError, match="`channel` must be mix, left, right or a number"):
        audio_files.read(tmp_path / "a.wav", channel="middle")


def test_what_is_odd_is_a_warning_where_nobody_listens(tmp_path):
    stereo = np.stack([tone(16000), -tone(16000)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    with pytest.warns(UserWarning, match=r"a\.wav has channels that cancel each other"):
        audio_files.read(tmp_path / "a.wav")


def test_a_pipe_is_read_to_its_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000, subtype="FLOAT")
    content = (tmp_path / "a.wav").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    samples = audio_files.read(tmp_path / "pipe")
    writer.join()
    np.testing.assert_array_equal(samples, tone(16000))


def test_errors_of_those_who_read_are_theirs(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000)

    def write_on():
        with audio_files.opened(tmp_path / "a.wav") as file:
            for _ in file.blocks():
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        write_on()


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("gains", [(1.0,), (1.0, 0.25), (0.5, -1.0)])
def test_blocks_are_the_whole(tmp_path, monkeypatch, rate, gains):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, [10 * rate + 7, 1]).astype(np.float32)
    samples = noise * np.float32(gains)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    mono = samples[:, 1] if sum(gains) == -0.5 else samples.mean(axis=1)
    whole = np.clip(soxr.resample(mono, rate, 16000), -1, 1)
    # Which channels are heard is found out with the file in memory, and without.
    for held in (audio_files._HELD, 0):
        monkeypatch.setattr(audio_files, "_HELD", held)
        notes = []
        with audio_files.opened(tmp_path / "a.wav") as file:
            blocks = list(file.blocks(on_note=notes.append))
            # Its length may be asked for in between.
            assert file.seconds() == len(samples) / rate
        assert len(blocks) > 2
        assert max(map(len, blocks)) < 10 * 16000
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
        assert len(notes) == (sum(gains) == -0.5)


@pytest.mark.parametrize(("form", "channels"), [("WAV", 2), ("FLAC", 1), ("MP3", 1)])
def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path, form, channels):
    path = tmp_path / f"a.{form.lower()}"
    minute = np.repeat(tone(8000, 60)[:, None], channels, axis=1)
    with soundfile.SoundFile(path, "w", 8000, channels, format=form) as file:
        for _ in range(10):
            file.write(minute)
    tracemalloc.start()
    with audio_files.opened(path) as file:
        count = sum(map(len, file.blocks(on_note=str)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count / 16000 == pytest.approx(600, abs=1)
    assert most < count * 4 / 2 < 20e6


def test_the_length_is_known_while_it_is_read(tmp_path):
    content = odd_files.encoded("FLAC", "PCM_16", seconds=odd_files.LONG)
    (tmp_path / "a.flac").write_bytes(content)
    with audio_files.opened(tmp_path / "a.flac") as file:
        blocks = file.blocks()
        first = next(blocks)
        assert file.seconds() == odd_files.LONG
        rest = list(blocks)
    samples = audio_files.read(tmp_path / "a.flac")
    np.testing.assert_array_equal(np.concatenate([first, *rest]), samples)


def test_many_threads_may_decode(tmp_path):
    paths = [case.write(tmp_path) for case in odd_files.CASES if case.refusal is None]
    alone = [audio_files.read(path, on_note=str) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda path: audio_files.read(path, on_note=str), paths)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, other)


def test_clips_what_exceeds_full_scale(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(44100, level=1.5), 44100, subtype="FLOAT")
    samples = audio_files.read(tmp_path / "a.wav")
    assert samples.max() == 1.0
    assert samples.min() == -1.0


def test_resamples_to_the_rate_asked_for(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000)
    assert audio_files.read(tmp_path / "a.wav", sample_rate=8000).size == 4000


@pytest.mark.parametrize("function", [audio_files.read, audio_files.duration])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("missing", r"no audio file .*a\.wav"),
        ("folder", r"a\.wav is a folder; name an audio file, or have `int4-conformer"),
        ("text", r"a\.wav is not audio: it is text, 'not audio'"),
        ("nothing", r"a\.wav is empty"),
        ("no samples", r"a\.wav holds no audio samples"),
    ],
)
def test_names_the_mistake(tmp_path, function, content, message):
    path = tmp_path / "a.wav"
    if content == "folder":
        path.mkdir()
    elif content == "text":
        path.write_text("not audio")
    elif content == "nothing":
        path.touch()
    elif content == "no samples":
        soundfile.write(path, np.zeros(0, np.float32), 16000)
    with pytest.raises(UserError, match=message):
        function(path)


def test_addresses_are_not_read():
    with pytest.raises(UserError, match=r"no audio file http://a\.org/b\.wav; download it first"):
        audio_files.read("http://a.org/b.wav")


@pytest.mark.parametrize("form", ["WAV", "OGG", "MP3"])
def test_joined_files_are_a_bounded_number(tmp_path, monkeypatch, form):
    path = tmp_path / f"a.{form.lower()}"
    soundfile.write(path, tone(16000), 16000, format=form)
    path.write_bytes(4 * path.read_bytes())
    assert audio_files.duration(path) == pytest.approx(2, abs=0.3)
    monkeypatch.setattr("int4_conformer.audio.containers._MOST_PARTS", 3)
    with pytest.raises(UserError, match=r"is more than 3 files, one behind the other"):
        audio_files.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_samples_that_are_not_finite(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.array([0, value], np.float32), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="NaN or infinite"):
        audio_files.read(tmp_path / "a.wav")


def test_reads_real_speech(shared_data):
    path = next((shared_data / "an4" / "audio").rglob("*.opus"))
    samples = audio_files.read(path)
    assert samples.size / 16000 == pytest.approx(audio_files.duration(path), abs=1e-3)
    assert 0.01 < np.abs(samples).max() <= 1


def test_needs_no_tensorflow():
    program = (
        "import sys, int4_conformer.audio.audio_files, int4_conformer.audio.synthesis.espeak;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
