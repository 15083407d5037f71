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
from int4_conformer.text.reference_normalizer import Normalizer, compared
from int4_conformer.text.writing import WORDS, Writing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found."""

    errors: WordErrors
    characters: CharacterErrors
    # Recognised text of each utterance, in the corpus's order.
    hypotheses: tuple[str, ...]
    # Seconds of computing per second of audio.
    rtf: float
    # How the recogniser writes.
    writing: Writing = WORDS
    # What counts as a word.
    normalizer: Normalizer = "words"
    # Where it writes case and punctuation: errors in which they count, too.
    written: WordErrors | None = None
    written_characters: CharacterErrors | None = None
    # Its words with their confidence, if they were asked for.
    words: tuple[tuple[Word, ...], ...] | None = None

    @classmethod
    def of(
        cls,
        utterances: Utterances,
        hypotheses: Sequence[str],
        rtf: float,
        writing: Writing = WORDS,
        normalizer: Normalizer = "words",
    ) -> "Evaluation":
        """Scores hypotheses after normalising both sides."""
        both = _normalized(utterances, hypotheses, writing, normalizer)
        written = None
        if writing.is_cased:
            references = [writing.of(utterance.text) for utterance in utterances]
            written = references, list(map(writing.of, hypotheses))
        return cls(
            errors=word_errors(*both),
            characters=character_errors(*both),
            hypotheses=tuple(hypotheses),
            rtf=rtf,
            writing=writing,
            normalizer=normalizer,
            written=written and word_errors(*written),
            written_characters=written and character_errors(*written),
        )

    def words_of(self, text: str) -> str:
        """The words of a text that count."""
        return compared(text, self.normalizer, self.writing)

    def scored_by(self, normalizer: Normalizer, utterances: Utterances) -> "Evaluation":
        """The same hypotheses, of the same utterances, where other words count."""
        scored = Evaluation.of(utterances, self.hypotheses, self.rtf, self.writing, normalizer)
        return dataclasses.replace(scored, words=self.words)

    def counts(self, utterances: Utterances) -> tuple[np.ndarray, np.ndarray]:
        """Word errors and words of each utterance, int64 [utterances], for `significance`."""
        each = [
            word_errors([self.words_of(utterance.text)], [self.words_of(hypothesis)])
            for utterance, hypothesis in zip(utterances, self.hypotheses, strict=True)
        ]
        errors, words = [x.errors for x in each], [x.words for x in each]
        return np.array(errors, np.int64), np.array(words, np.int64)

    def to_json(self) -> dict[str, Any]:
        """The figures in a dict that JSON can hold.

        `wer` and `cer` are fractions, 0.05 for 5%, and null if infinite; `substitutions`,
        `deletions` and `insertions` are of `words`, the reference's, and `character_errors` of
        `characters`; `rtf` is seconds of computing per second of audio. `as_written` has the `wer`
        and `cer` with case and punctuation, of a recogniser that writes them;
        `reference_normalizer` is what counts as a word, unless that is `words`.
        """
        others = {}
        if self.written is not None and self.written_characters is not None:
            rates = {"wer": self.written.wer, "cer": self.written_characters.cer}
            others["as_written"] = {name: _finite(rate) for name, rate in rates.items()}
        if self.normalizer != "words":
            others["reference_normalizer"] = self.normalizer
        return {
            "wer": _finite(self.errors.wer),
            "cer": _finite(self.characters.cer),
            "utterances": len(self.hypotheses),
            **dataclasses.asdict(self.errors),
            "characters": self.characters.characters,
            "character_errors": self.characters.errors,
            "rtf": self.rtf,
            **others,
        }


def evaluate(
    transcribe: Callable[[np.ndarray], str],
    utterances: Utterances,
    on_utterance: Callable[[int], None] = lambda done: None,
    *,
    writing: Writing = WORDS,
) -> Evaluation:
    """Transcribes utterances one by one, as a device would.

    Decoding the audio files is not in the time; transcripts are normalised on both sides.

    Args:
        transcribe: float32 [samples] at 16 kHz -> text.
        utterances: the corpus.
        on_utterance: told how many are done.
        writing: how the recogniser writes.
    """
    hypotheses, audio, busy = [], 0.0, 0.0
    for done, utterance in enumerate(utterances, start=1):
        samples = utterance.samples()
        start = time.perf_counter()
        hypotheses.append(transcribe(samples))
        busy += time.perf_counter() - start
        audio += len(samples) / SAMPLE_RATE
        on_utterance(done)
    return Evaluation.of(utterances, hypotheses, busy / audio, writing)


def score(utterances: Utterances, hypotheses: Sequence[str]) -> WordErrors:
    """Word errors after normalising both sides."""
    return word_errors(*_normalized(utterances, hypotheses))


def _normalized(
    utterances: Utterances,
    hypotheses: Sequence[str],
    writing: Writing = WORDS,
    normalizer: Normalizer = "words",
) -> tuple[list[str], list[str]]:
    references = [compared(utterance.text, normalizer, writing) for utterance in utterances]
    return references, [compared(hypothesis, normalizer, writing) for hypothesis in hypotheses]


def _finite(rate: float) -> float | None:
    return rate if np.isfinite(rate) else None
