"""Word and character errors of a recogniser on a corpus."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import Utterances
from int4_conformer.lite.words import Word
from int4_conformer.text.metrics import (
    CharacterErrors,
    WordErrors,
    character_errors,
    word_errors,
)
from int4_conformer.text.normalize import normalize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found."""

    errors: WordErrors
    characters: CharacterErrors
    # Recognised text of each utterance, in the corpus's order.
    hypotheses: tuple[str, ...]
    # Seconds of computing per second of audio.
    rtf: float
    # Its words with their confidence, if they were asked for.
    words: tuple[tuple[Word, ...], ...] | None = None

    @classmethod
    def of(cls, utterances: Utterances, hypotheses: Sequence[str], rtf: float) -> "Evaluation":
        """Scores hypotheses after normalising both sides."""
        both = _normalized(utterances, hypotheses)
        return cls(
            errors=word_errors(*both),
            characters=character_errors(*both),
            hypotheses=tuple(hypotheses),
            rtf=rtf,
        )

    def to_json(self) -> dict[str, Any]:
        """The figures in a dict that JSON can hold.

        `wer` and `cer` are fractions, 0.05 for 5%, and null if infinite; `substitutions`,
        `deletions` and `insertions` are of `words`, the reference's, and `character_errors` of
        `characters`; `rtf` is seconds of computing per second of audio.
        """
        return {
            "wer": _finite(self.errors.wer),
            "cer": _finite(self.characters.cer),
            "utterances": len(self.hypotheses),
            **dataclasses.asdict(self.errors),
            "characters": self.characters.characters,
            "character_errors": self.characters.errors,
            "rtf": self.rtf,
        }


def evaluate(
    transcribe: Callable[[np.ndarray], str],
    utterances: Utterances,
    on_utterance: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Transcribes utterances one by one, as a device would.

    Decoding the audio files is not in the time; transcripts are normalised on both sides.

    Args:
        transcribe: float32 [samples] at 16 kHz -> text.
        utterances: the corpus.
        on_utterance: told how many are done.
    """
    hypotheses, audio, busy = [], 0.0, 0.0
    for done, utterance in enumerate(utterances, start=1):
        samples = utterance.samples()
        start = time.perf_counter()
        hypotheses.append(transcribe(samples))
        busy += time.perf_counter() - start
        audio += len(samples) / SAMPLE_RATE
        on_utterance(done)
    return Evaluation.of(utterances, hypotheses, rtf=busy / audio)


def score(utterances: Utterances, hypotheses: Sequence[str]) -> WordErrors:
    """Word errors after normalising both sides."""
    return word_errors(*_normalized(utterances, hypotheses))


def counts(utterances: Utterances, hypotheses: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Word errors and words of each utterance, int64 [utterances], for `significance`."""
    pairs = zip(*_normalized(utterances, hypotheses), strict=True)
    each = [word_errors([reference], [hypothesis]) for reference, hypothesis in pairs]
    return np.array([x.errors for x in each], np.int64), np.array([x.words for x in each], np.int64)


def _normalized(utterances: Utterances, hypotheses: Sequence[str]) -> tuple[list[str], list[str]]:
    return [normalize(utterance.text) for utterance in utterances], list(map(normalize, hypotheses))


def _finite(rate: float) -> float | None:
    return rate if np.isfinite(rate) else None
