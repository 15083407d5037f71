import numpy as np
import pytest

from int4_conformer.cli import recognizers
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech


class Hears:
    """Keeps what it hears; a stream of it is itself."""

    sample_rate = 16000
    hears_streams = True

    def __init__(self, path):
        self.heard = None

    def transcribe(self, samples, rate):
        self.heard = samples

    def stream(self, rate):
        return self

    def feed(self, samples):
        self.heard = samples

    def finish(self):
        pass


@pytest.mark.parametrize("live", [False, True])
def test_the_gate_lets_the_first_run_through(monkeypatch, live):
    monkeypatch.setattr(recognizers, "Recognizer", Hears)
    heard = recognizers.open_recognizer("model.tflite", live=live).heard
    # Files that hear streams pad it to a segment.
    assert may_hold_speech(np.pad(heard, (0, 10240 - len(heard))), 16000)
    activity = SpeechActivity(16000)
    activity.hear(heard)
    assert activity.last_active is not None
