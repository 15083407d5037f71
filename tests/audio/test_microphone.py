import sys

import numpy as np
import pytest

from int4_conformer.audio.microphone import Device, Microphone, choose, devices
from int4_conformer.errors import UserError
from tests.support import sound_device

NOISE = np.random.default_rng(0).uniform(-0.1, 0.1, 12000).astype(np.float32)


@pytest.fixture
def heard(monkeypatch):
    """Hears a microphone that is unplugged after its samples: those, and the notes."""

    def hear(samples=NOISE, **settings):
        module = sound_device.module(samples, then="unplugged", **settings)
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        notes = []
        microphone = Microphone(choose(devices(), None), notes.append)
        assert microphone.rate == 48000
        return np.concatenate(list(microphone.audio())), notes, microphone.overruns

    return hear


def test_a_microphone_is_heard_until_it_is_gone(heard):
    samples, notes, overruns = heard()
    np.testing.assert_array_equal(samples, NOISE)
    assert notes == ["Studio microphone has stopped; is it still plugged in?"]
    assert overruns == 0


def test_the_first_of_several_channels_is_heard(heard):
    stereo = sound_device.device("Interface", inputs=2, rate=48000)
    samples, _, _ = heard(devices=[stereo], default=0, channels=2)
    np.testing.assert_array_equal(samples, NOISE)


def test_lost_audio_is_told_once_and_counted(heard):
    _, notes, overruns = heard(overflows={0, 2})
    assert overruns == 2
    assert [note for note in notes if "lost" in note] == [
        "Some audio was lost; this machine is too busy or too slow."
    ]


def test_a_recogniser_that_is_too_slow_loses_audio(heard):
    _, notes, overruns = heard(np.ones(500 * 2400), at_once=True)
    assert overruns == 100
    assert "Some audio was lost" in notes[0]


def test_zeros_are_told(heard):
    _, notes, _ = heard(np.zeros(48000 * 4))
    assert notes[0] == (
        "Studio microphone gives nothing but zeros; is it muted, or may this program not hear it?"
    )


def test_a_device_that_refuses(heard):
    with pytest.raises(UserError, match=r"'Studio microphone' cannot be opened \(Device unavail"):
        heard(refusal="Device unavailable [PaErrorCode -9985]")


def test_no_device(monkeypatch):
    module = sound_device.module(devices=[sound_device.SPEAKERS], default=None)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    with pytest.raises(UserError, match="There is no microphone: no audio device"):
        devices()


def test_no_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match=r"pip install 'int4-conformer\[mic\]'"):
        devices()
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="sudo apt install libportaudio2"):
        devices()


def test_choosing():
    found = [
        Device(number=number, name=name, channels=1, rate=48000, is_default=number == 4)
        for number, name in [(1, "Headset"), (3, "Desk microphone"), (4, "Headset (Bluetooth)")]
    ]
    for wanted, number in [
        (None, 4),
        ("3", 3),
        ("desk", 3),
        ("HEADSET", 1),
        ("blue", 4),
    ]:
        assert choose(found, wanted).number == number
    for wanted, sentence in [
        ("2", "There is no microphone of number 2; `int4-conformer transcribe --list_devices`"),
        ("Dask microphone", "no microphone 'Dask microphone' (did you mean Desk microphone?)"),
        ("head", "any of several microphones (1 'Headset', 4 'Headset (Bluetooth)')"),
    ]:
        with pytest.raises(UserError) as refusal:
            choose(found, wanted)
        assert sentence in str(refusal.value)
