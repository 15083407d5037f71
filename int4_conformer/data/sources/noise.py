"""Utterances in which nobody says a word, so that a model learns to say nothing of noise."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from int4_conformer.audio import audio_files
from int4_conformer.data.sources.synthetic import SyntheticUtterance
from int4_conformer.data.sources.utterance import Utterance

KINDS = ("silence", "white", "pink", "brown", "hum", "clicks", "babble")
# Of full scale.
_LEVELS_DB = (-65.0, -15.0)
# Voices at once: of fewer, words are heard.
_VOICES = (6, 13)
# By how much the level of noise goes up and down, as cars and wind do, and how often a second.
_SWELL_DB = 12.0
_SWELLS = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseUtterance:
    """Noise of a kind; stands wherever an `Utterance` does."""

    kind: str
    # Seconds.
    duration: float
    # Its power, in dB of full scale.
    level_db: float
    # Seeds all that is random.
    seed: int
    # Who babbles.
    voices: tuple[Utterance | SyntheticUtterance, ...] = ()
    text: str = ""
    speaker: str = ""
    split: str = "train"

    @property
    def id(self) -> str:
        """What reports call the utterance."""
        return f"noise/{self.kind}/{self.seed}"

    @property
    def where(self) -> str:
        """Where to look for it."""
        return self.id

    def samples(self, sample_rate: int = audio_files.SAMPLE_RATE) -> np.ndarray:
        """The waveform, float32 `[samples]` in [-1, 1], the same in any process."""
        rng = np.random.default_rng(self.seed)
        count = max(1, round(self.duration * sample_rate))
        if self.kind == "silence":
            # Exact zeros, or the last bit of a recorder.
            noise = rng.integers(-1, 2, count) * rng.integers(0, 2)
            return (noise / 32768).astype(np.float32)
        if self.kind == "babble":
            noise = self._babble(rng, count, sample_rate)
        elif self.kind == "hum":
            noise = _hum(rng, count, sample_rate)
        elif self.kind == "clicks":
            noise = rng.standard_normal(count) * (rng.random(count) < 20 / sample_rate)
        else:
            noise = _coloured(rng, count, self.kind)
        if rng.random() < 0.5:
            noise = noise * _swells(rng, count, sample_rate)
        power = np.mean(np.square(noise))
        scaled = noise * np.sqrt(10 ** (self.level_db / 10) / max(power, 1e-12))
        return np.clip(scaled, -1.0, 1.0).astype(np.float32)

    def _babble(self, rng: np.random.Generator, count: int, sample_rate: int) -> np.ndarray:
        """Voices that talk at the same time, equally loud."""
        total = np.zeros(count)
        for voice in self.voices:
            speech = np.resize(voice.samples(sample_rate), count)
            power = np.mean(np.square(speech, dtype=np.float64))
            total += np.roll(speech, rng.integers(count)) / np.sqrt(max(power, 1e-12))
        return total


def noise_utterances(
    lengths: Sequence[float], voices: Sequence[Utterance | SyntheticUtterance], seed: int
) -> list[NoiseUtterance]:
    """Draws noise of all kinds.

    Args:
        lengths: seconds of each.
        voices: speech to make babble of.
        seed: another one gives other noise.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for place, seconds in enumerate(lengths):
        kind = KINDS[place % len(KINDS)]
        chosen = ()
        if kind == "babble":
            places = rng.integers(len(voices), size=rng.integers(*_VOICES))
            chosen = tuple(voices[i] for i in places)
        drawn.append(
            NoiseUtterance(
                kind=kind,
                duration=seconds,
                level_db=rng.uniform(*_LEVELS_DB),
                seed=int(rng.integers(2**63)),
                voices=chosen,
            )
        )
    return drawn


def _coloured(rng: np.random.Generator, count: int, kind: str) -> np.ndarray:
    """Noise whose power falls by 0, 3 or 6 dB an octave."""
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    spectrum = np.fft.rfft(rng.standard_normal(count))
    # Above 20 Hz alone: below, microphones hear nothing.
    numbers = np.arange(len(spectrum))
    lowest = max(1.0, 20.0 * count / audio_files.SAMPLE_RATE)
    shaped = spectrum / np.maximum(numbers, lowest) ** slope
    return np.fft.irfft(shaped * (numbers >= min(lowest, len(numbers) - 1)), count)


def _hum(rng: np.random.Generator, count: int, sample_rate: int) -> np.ndarray:
    """The mains and its overtones."""
    seconds = np.arange(count) / sample_rate
    frequency = rng.choice([50.0, 60.0])
    parts = range(1, 1 + int(rng.integers(1, 12)))
    return sum(
        rng.random() / n * np.sin(2 * np.pi * n * frequency * seconds + rng.uniform(0, 6.3))
        for n in parts
    )


def _swells(rng: np.random.Generator, count: int, sample_rate: int) -> np.ndarray:
    """Factors by which a level goes up and down."""
    points = max(2, round(_SWELLS * count / sample_rate))
    decibels = rng.uniform(-_SWELL_DB, _SWELL_DB, points)
    return 10 ** (np.interp(np.linspace(0, points - 1, count), np.arange(points), decibels) / 20)
