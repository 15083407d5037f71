"""Speakers of all synthesisers: who there is, in which split, and how each of them sounds.

| synthesiser | what speaks | licence |
|---|---|---|
| espeak | espeak-ng's variants with four accents; quick and plainly synthetic | GPL-3.0 |
| hibari | one natural voice | Apache-2.0 |
| kokoro | mixtures of the voices of Kokoro-82M; natural, slow to make | Apache-2.0 |
| piper | one natural voice, "joe" | GPL-3.0; the voice: MIT, of recordings under CC0 |

A speaker is a voice with a pitch and formants of its own.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.audio.synthesis.espeak import ACCENTS, VARIANTS, Voice, synthesize
from int4_conformer.audio.synthesis.neural_voices import HibariVoice, KokoroVoices, PiperVoice
from int4_conformer.audio.synthesis.speaker_change import changed
from int4_conformer.audio.synthesis.spoken_form import spoken_form
from int4_conformer.errors import UserError, require_in, require_one_of

# Goes up when the same speaker would sound different: speech made before is then made anew.
VERSION = 1

SPLITS = ("train", "dev", "test")
# Words a minute of espeak at its usual pace, and what it can do.
_ESPEAK_RATE = 175
_ESPEAK_RATES = (80, 450)
_LOUDEST = 0.9


class Synthesizer(Protocol):
    """What turns texts into speech."""

    def speak(self, text: str, voice: str, rate: float) -> tuple[np.ndarray, int]:
        """float32 `[samples]` of a text and their rate in Hz, at a factor of the usual pace."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speaker:
    """A voice of a synthesiser, perhaps changed."""

    # One of `SYNTHESIZERS`.
    synthesizer: str
    # Of the synthesiser.
    voice: str
    # What corpora call the speaker: "kokoro/mix-07".
    name: str
    # Factors of the voice's own.
    pitch: float = 1.0
    formants: float = 1.0
    split: str = "train"


def speakers(synthesizer: str, split: str) -> tuple[Speaker, ...]:
    """All speakers of a synthesiser in a split; none is in two of them.

    Of hibari and Piper, who have one voice each, they differ in pitch and formants alone.

    Raises:
        UserError: there is no such synthesiser or split.

    Example:

        >>> [speaker.name for speaker in speakers("kokoro", "dev")][:2]
        ['kokoro/mix-02', 'kokoro/mix-12']
    """
    require_one_of(tuple(SYNTHESIZERS), synthesizer=synthesizer)
    require_one_of(SPLITS, split=split)
    known = SYNTHESIZERS[synthesizer]
    return tuple(
        _speaker(synthesizer, voice, name, split, known.spread)
        for voice, name in known.voices(split)
    )


def speak(text: str, speaker: Speaker, rate: float = 1.0) -> np.ndarray:
    """A text in a speaker's voice.

    Args:
        text: English words; punctuation at the end decides about the melody.
        speaker: one of `speakers`.
        rate: factor of the usual pace, 0.5 to 2.

    Returns:
        float32 `[samples]` at 16 kHz in [-1, 1], without silence around it.

    Raises:
        UserError: the synthesiser is not installed, or nothing in the text can be spoken.
    """
    require_in("[0.5, 2]", rate=rate)
    synthesizer = _opened(speaker.synthesizer)
    samples, sample_rate = synthesizer.speak(spoken_form(text), speaker.voice, rate / speaker.pitch)
    if not samples.any():
        raise UserError(f"Nothing in the text {text!r} can be spoken; give it some words.")
    samples = changed(
        samples, pitch=speaker.pitch, formants=speaker.formants, sample_rate=sample_rate
    )
    samples = samples * np.float32(min(1.0, _LOUDEST / np.abs(samples).max()))
    return _without_silence(samples)


def require_installed(synthesizer: str) -> None:
    """Raises UserError, naming what to install, unless a synthesiser can speak."""
    _opened(synthesizer).speak("yes", SYNTHESIZERS[synthesizer].voices("train")[0][0], 1.0)


class _Espeak:
    """espeak-ng, whose voices are "en-us+m3": an accent and a variant."""

    def speak(self, text: str, voice: str, rate: float) -> tuple[np.ndarray, int]:
        accent, variant = voice.split("+")
        words_a_minute = int(np.clip(round(_ESPEAK_RATE * rate), *_ESPEAK_RATES))
        spoken = synthesize(text, Voice(variant=variant, accent=accent, rate=words_a_minute))
        return spoken, SAMPLE_RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Known:
    """What there is of a synthesiser."""

    open: Callable[[], Synthesizer]
    # Voices of a split, and what to call the speakers that have them.
    voices: Callable[[str], list[tuple[str, str]]]
    # How far pitches and formants are drawn from 1, as powers of e.
    spread: tuple[float, float]


def _of_split(split: str, count: int) -> list[int]:
    """Which of some numbers belong to a split, likewise as espeak's clear variants."""
    of = {n: "test" if n % 5 == 0 else "dev" if n % 10 == 2 else "train" for n in range(count)}
    return [number for number in of if of[number] == split]


def _espeak_voices(split: str) -> list[tuple[str, str]]:
    # Whoever has several accents is one speaker.
    pairs = [(accent, variant) for variant in VARIANTS[split] for accent in ACCENTS]
    return [(f"{accent}+{variant}", variant) for accent, variant in pairs]


def _mixtures(split: str) -> list[tuple[str, str]]:
    return [(f"mix-{number:02}", f"mix-{number:02}") for number in _of_split(split, 80)]


def _changes(voice: str) -> Callable[[str], list[tuple[str, str]]]:
    return lambda split: [(voice, f"{voice}-{number:02}") for number in _of_split(split, 60)]


SYNTHESIZERS = {
    "espeak": _Known(open=_Espeak, voices=_espeak_voices, spread=(0.12, 0.06)),
    "hibari": _Known(open=HibariVoice, voices=_changes("heart"), spread=(0.3, 0.15)),
    "kokoro": _Known(open=KokoroVoices, voices=_mixtures, spread=(0.08, 0.06)),
    "piper": _Known(open=PiperVoice, voices=_changes("joe"), spread=(0.3, 0.15)),
}


def _speaker(
    synthesizer: str, voice: str, name: str, split: str, spread: tuple[float, float]
) -> Speaker:
    name = f"{synthesizer}/{name}"
    rng = np.random.default_rng(zlib.crc32(f"{name} {voice}".encode()))
    # Short people have higher voices and shorter vocal tracts.
    size = rng.uniform(-1, 1)
    pitch, formants = (
        float(np.exp(width * (0.6 * size + 0.4 * rng.uniform(-1, 1)))) for width in spread
    )
    return Speaker(
        synthesizer=synthesizer,
        voice=voice,
        name=name,
        pitch=round(pitch, 3),
        formants=round(formants, 3),
        split=split,
    )


@functools.cache
def _opened(synthesizer: str) -> Synthesizer:
    require_one_of(tuple(SYNTHESIZERS), synthesizer=synthesizer)
    return SYNTHESIZERS[synthesizer].open()


def _without_silence(samples: np.ndarray) -> np.ndarray:
    """Between the first and the last 10 ms that are above 1% of the loudest sample."""
    block = SAMPLE_RATE // 100
    levels = np.abs(np.pad(samples, (0, -samples.size % block))).reshape(-1, block)
    loud = np.flatnonzero(levels.max(axis=1) > 0.01 * np.abs(samples).max())
    return samples[loud[0] * block : (loud[-1] + 1) * block]
