"""Word errors of a recogniser on a corpus."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import Utterances
from int4_conformer.text.metrics import WordErrors, word_errors
from int4_conformer.text.normalize import normalize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found."""

    errors: WordErrors
    # Recognised text of each utterance, in the corpus's order.
    hypotheses: tuple[str, ...]
    # Seconds of computing per second of audio.
    rtf: float

    def to_json(self) -> dict[str, Any]:
        """The figures in a dict that JSON can hold; `wer` is a fraction, null if infinite."""
        counts = dataclasses.asdict(self.errors)
        wer = self.errors.wer if np.isfinite(self.errors.wer) else None
        return {"wer": wer, "utterances": len(self.hypotheses), **counts, "rtf": self.rtf}


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
    return Evaluation(
        errors=score(utterances, hypotheses), hypotheses=tuple(hypotheses), rtf=busy / audio
    )


def score(utterances: Utterances, hypotheses: Sequence[str]) -> WordErrors:
    """Word errors after normalising both sides."""
    return word_errors(
        [normalize(utterance.text) for utterance in utterances],
        [normalize(hypothesis) for hypothesis in hypotheses],
    )
