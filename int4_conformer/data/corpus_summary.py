"""What a corpus holds, in figures."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.recordings import Recordings
from int4_conformer.text.normalize import normalize

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """What a split holds."""

    name: str
    # Of each utterance, float64 [utterances].
    seconds: np.ndarray
    # Characters of each normalised text, int64 [utterances].
    characters: np.ndarray
    # Ids; none where the corpus does not say.
    speakers: frozenset[str]

    @property
    def hours(self) -> float:
        return float(self.seconds.sum() / 3600)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """What a corpus holds that can be used, split by split and together.

    Example:

        >>> from int4_conformer.data.corpus import read_corpus
        >>> from int4_conformer.data.recordings import decoded
        >>> CorpusSummary.of(decoded(read_corpus("synthetic", "dev")[:2])).splits[0].name
        'dev'
    """

    splits: tuple[SplitSummary, ...]
    # How often each symbol is in the normalised texts, the most frequent first.
    symbols: dict[str, int]
    # Words of all normalised texts, and how many different ones.
    words: int
    vocabulary: int
    # Utterances with the text of an earlier one of their split, and with the very same audio too.
    repeated_texts: int
    repeated: int

    @classmethod
    def of(cls, recordings: Recordings) -> "CorpusSummary":
        """The summary of decoded recordings."""
        seconds = recordings.lengths / SAMPLE_RATE
        texts = [normalize(utterance.text) for utterance in recordings]
        places: dict[str, list[int]] = {}
        for place, utterance in enumerate(recordings):
            places.setdefault(utterance.split, []).append(place)
        words = collections.Counter(word for text in texts for word in text.split())
        symbols = collections.Counter(symbol for text in texts for symbol in text)
        return cls(
            splits=tuple(
                SplitSummary(
                    name=name,
                    seconds=seconds[chosen],
                    characters=np.array([len(texts[place]) for place in chosen], np.int64),
                    speakers=frozenset(recordings[place].speaker for place in chosen) - {""},
                )
                for name, chosen in places.items()
            ),
            symbols=dict(sorted(symbols.items(), key=lambda item: (-item[1], item[0]))),
            words=words.total(),
            vocabulary=len(words),
            repeated_texts=_repeated(
                (u.split, text) for u, text in zip(recordings, texts, strict=True)
            ),
            repeated=_repeated((u.split, u.id) for u in recordings),
        )

    @property
    def seconds(self) -> np.ndarray:
        """Of each utterance of all splits, float64 [utterances]."""
        return np.concatenate([split.seconds for split in self.splits])

    @property
    def characters_per_second(self) -> np.ndarray:
        """Of each utterance of all splits, float64 [utterances]."""
        characters = np.concatenate([split.characters for split in self.splits])
        return characters / np.maximum(self.seconds, 1e-9)

    @property
    def speakers_in_several(self) -> list[str]:
        """Speakers of more than one split: what is measured on one was heard in another."""
        counts = collections.Counter(s for split in self.splits for s in split.speakers)
        return sorted(speaker for speaker, count in counts.items() if count > 1)


def quantiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """The values at `QUANTILES`."""
    return np.quantile(values, QUANTILES).tolist()


def _repeated(keys: Iterable[tuple[str, str]]) -> int:
    counts = collections.Counter(keys)
    return counts.total() - len(counts)
