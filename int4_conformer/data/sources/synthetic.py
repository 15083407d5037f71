"""The corpus that needs no download: spoken digits and commands, synthesised on the fly."""

import dataclasses
import functools
import itertools

import numpy as np

from int4_conformer.audio import audio_files
from int4_conformer.audio.synthesis.espeak import (
    ACCENTS,
    VARIANTS,
    Voice,
    synthesize,
)
from int4_conformer.data.sources.entry import require_split

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

COMMANDS = (
    *(f"turn {s} the {p} light" for s in ("on", "off") for p in ("kitchen", "bedroom", "hall")),
    *(f"turn {way} the {what}" for way in ("up", "down") for what in ("music", "heating")),
    *(f"set volume to {digit}" for digit in DIGITS),
    *(f"set a timer for {count} minutes" for count in ("two", "five", "ten", "fifteen", "twenty")),
    *(f"{act} the {what}" for act in ("open", "close") for what in ("door", "window", "garage")),
    *(f"call {whom}" for whom in ("home", "mother", "the doctor", "the office")),
    *(f"play {what}" for what in ("some music", "the next song", "the last song", "the news")),
    *("what time is it", "what is the weather today", "read my messages", "send a message"),
    *("start", "stop", "pause", "go back", "start again", "cancel", "yes", "no", "help me"),
    *("lock the front door", "good morning", "good night"),
)

# Signal to noise in dB, drawn from this range: training meets worse than it is tested on.
_SNR_DB = {"train": (15.0, 40.0), "dev": (25.0, 40.0), "test": (25.0, 40.0)}
# Playing speech faster or slower moves its pitch and formants, as a shorter or longer vocal tract
# does: so training meets more speakers than the synthesiser has.
_SPEED = {"train": (0.85, 1.22), "dev": (1.0, 1.0), "test": (1.0, 1.0)}
_PITCH = {"train": (25, 76), "dev": (35, 66), "test": (35, 66)}
_GAIN_DB = (-14.0, 0.0)  # Downwards only: speech that clips is another kind of noise.
_MAX_DIGITS = 5
_MAX_SILENCE = 0.2  # Seconds, before the speech and after it.


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticUtterance:
    """A text and everything that decides how it sounds; stands wherever an `Utterance` does."""

    text: str
    voice: Voice
    split: str
    # Playback speed against the synthesiser's own.
    speed: float
    # Level against the synthesiser's own.
    gain_db: float
    # Speech power over the power of the white noise added.
    snr_db: float
    # Seeds the noise and the silence around the speech.
    seed: int

    @property
    def id(self) -> str:
        """What reports call the utterance."""
        return f"synthetic/{self.split}/{self.seed}"

    @property
    def where(self) -> str:
        """Where to look for it."""
        return self.id

    @property
    def speaker(self) -> str:
        return self.voice.variant

    @property
    def duration(self) -> float:
        """Seconds; synthesises the speech on first use."""
        return self._pcm.size / audio_files.SAMPLE_RATE

    def samples(self, sample_rate: int = audio_files.SAMPLE_RATE) -> np.ndarray:
        """The waveform, float32 `[samples]` in [-1, 1], the same in any process."""
        return audio_files.resample(
            self._pcm / np.float32(32768), audio_files.SAMPLE_RATE, sample_rate
        )

    @functools.cached_property
    def _pcm(self) -> np.ndarray:
        """int16 `[samples]` at 16 kHz; kept, since its length is asked for before its samples."""
        rng = np.random.default_rng(self.seed)
        speech = synthesize(self.text, self.voice) * 10 ** (self.gain_db / 20)
        speech = audio_files.resample(
            speech, round(audio_files.SAMPLE_RATE * self.speed), audio_files.SAMPLE_RATE
        )
        silence = rng.integers(0, int(_MAX_SILENCE * audio_files.SAMPLE_RATE), size=2)
        noise_level = np.sqrt(np.mean(speech**2)) * 10 ** (-self.snr_db / 20)
        waveform = np.pad(speech, silence)
        waveform += noise_level * rng.standard_normal(waveform.size)
        return np.clip(np.round(waveform * 32768), -32768, 32767).astype(np.int16)


def synthetic_corpus(split: str, count: int, seed: int = 0) -> list[SyntheticUtterance]:
    """Draws a corpus: half strings of 1 to 5 digits, half commands.

    Args:
      split: "train", "dev" or "test"; no speaker is in two of them.
      count: number of utterances; a smaller corpus is the beginning of a larger one.
      seed: another seed gives other texts, voices, levels and noise.

    Raises:
      UserError: `split` is none of the three.
    """
    require_split(split, VARIANTS, "The synthetic corpus")
    rng = np.random.default_rng([seed, list(VARIANTS).index(split)])
    draws = (_draw(split, rng) for _ in itertools.count())
    return list(itertools.islice(draws, count))


def _draw(split: str, rng: np.random.Generator) -> SyntheticUtterance:
    if rng.random() < 0.5:
        text = " ".join(rng.choice(DIGITS, size=rng.integers(1, _MAX_DIGITS + 1)))
    else:
        text = str(rng.choice(COMMANDS))
    voice = Voice(
        variant=str(rng.choice(VARIANTS[split])),
        accent=str(rng.choice(ACCENTS)),
        pitch=int(rng.integers(*_PITCH[split])),
        rate=int(rng.integers(140, 221)),
    )
    return SyntheticUtterance(
        text=text,
        voice=voice,
        split=split,
        speed=rng.uniform(*_SPEED[split]),
        gain_db=rng.uniform(*_GAIN_DB),
        snr_db=rng.uniform(*_SNR_DB[split]),
        seed=int(rng.integers(2**63)),
    )
