"""Small corpora in the forms of others."""

import json

import numpy as np
import soundfile

RATE = 16000


def samples(seed, seconds=0.3):
    """Noise, int16 [samples], another one for each seed."""
    count = round(seconds * RATE)
    return np.random.default_rng(seed).integers(-9000, 9000, count, np.int16)


def audio(path, seed=0, seconds=0.3):
    """Writes `samples` as a file of the kind that its name says; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples(seed, seconds), RATE)
    return path


def cut(name, source, *, start=0.0, duration=0.3, supervisions=None, **changes):
    """A cut of Lhotse's, of a recording of 1 s, as a line of JSON."""
    supervisions = supervisions or [{"start": 0.0, "duration": duration, "text": name}]
    recording = {
        "id": "r",
        "sources": [{"type": "file", "channels": [0], "source": str(source)}],
        "sampling_rate": RATE,
        "num_samples": RATE,
        "duration": 1.0,
        "channel_ids": [0],
    }
    given = {
        "id": name,
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": [
            {"id": f"{name}-{i}", "recording_id": "r", "channel": 0, "speaker": "ann"} | supervision
            for i, supervision in enumerate(supervisions)
        ],
        "recording": recording,
        "type": "MonoCut",
    }
    return json.dumps(given | changes)
