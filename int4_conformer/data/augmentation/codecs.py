"""Speech as codecs leave it."""

import io
from collections.abc import Callable

import numpy as np
import soundfile

from int4_conformer.audio.audio_files import SAMPLE_RATE, resample
from int4_conformer.data.augmentation.filters import band_passed
from int4_conformer.errors import UserError

# Of telephones, in Hz.
_TELEPHONE_RATE = 8000
_TELEPHONE_BAND = (300.0, 3400.0)
# Of G.711's mu-law, ITU-T G.711.
_MU = 255.0
# What soundfile calls them, and the qualities that are drawn from, from the best on.
_ENCODERS = {
    "vorbis": ("OGG", "VORBIS", (0.5, 0.95)),
    "opus": ("OGG", "OPUS", (0.5, 0.95)),
    "mp3": ("MP3", "MPEG_LAYER_III", (0.5, 0.95)),
}


def through_codec(samples: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """Samples that were encoded and decoded; float32 [samples] in [-1, 1], at their times.

    Args:
        samples: float32 [samples] at 16 kHz.
        name: of `CODECS`.
        rng: draws how much is lost.

    Raises:
        UserError: soundfile cannot encode it here.
    """
    return _CODECS[name](samples, rng)


def require_codec(name: str) -> None:
    """Raises UserError if this soundfile cannot encode one of `CODECS`."""
    if name in _ENCODERS:
        kind, subtype, _ = _ENCODERS[name]
        if not soundfile.check_format(kind, subtype):
            raise UserError(
                f"This soundfile cannot encode {name}; leave it out of --codecs, or install "
                "soundfile with a newer libsndfile."
            )


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Samples with 8 bits on a logarithmic scale; float32 [samples]."""
    compressed = np.sign(samples) * np.log1p(_MU * np.abs(samples)) / np.log1p(_MU)
    codes = np.rint(compressed * 127.0) / 127.0
    return (np.sign(codes) * np.expm1(np.abs(codes) * np.log1p(_MU)) / _MU).astype(np.float32)


def _telephone(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    narrow = band_passed(samples, *_TELEPHONE_BAND)
    sent = mu_law(resample(narrow, SAMPLE_RATE, _TELEPHONE_RATE))
    return _as_long(resample(sent, _TELEPHONE_RATE, SAMPLE_RATE), samples.size)


def _encoded(name: str) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    kind, subtype, (best, worst) = _ENCODERS[name]

    def code(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        file = io.BytesIO()
        level = rng.uniform(best, worst)
        soundfile.write(
            file, samples, SAMPLE_RATE, format=kind, subtype=subtype, compression_level=level
        )
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32")
        return np.clip(_as_long(decoded, samples.size), -1.0, 1.0)

    return code


def _as_long(samples: np.ndarray, count: int) -> np.ndarray:
    """So many samples; codecs come in whole frames."""
    return np.pad(samples[:count], (0, max(0, count - samples.size)))


_CODECS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "telephone": _telephone,
    "mulaw": lambda samples, rng: mu_law(samples),
    **{name: _encoded(name) for name in _ENCODERS},
}
