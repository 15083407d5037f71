"""A corpus once it is decoded: what lengths its recordings really have."""

import concurrent.futures
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sample_stores import (
    TOLERANCE_SECONDS,
    TOLERANCE_SHARE,
    Held,
    SampleStore,
    tolerance,
)
from int4_conformer.data.sources.entry import UNREADABLE_AUDIO
from int4_conformer.data.sources.noise import noise_utterances
from int4_conformer.data.sources.synthetic import SyntheticUtterance
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

if TYPE_CHECKING:
    # A tokenizer may need sentencepiece, which the light runtime lacks.
    from int4_conformer.text.tokenizer import Tokenizer

# Of the samples that are held, full scale.
INT16_SCALE = 32768


class Recordings(Sequence[Utterance | SyntheticUtterance]):
    """The utterances of a corpus with their lengths, from `decoded` or `training_audio`.

    Args:
        utterances: the corpus.
        lengths: int64 [utterances], samples at 16 kHz.
        store: keeps samples; None to decode an utterance whenever it is drawn.
        is_claimed: whether lengths are what headers say, from which what is decoded may differ by
            a little; else they were counted.
    """

    def __init__(
        self,
        utterances: Utterances,
        lengths: np.ndarray,
        store: SampleStore | None = None,
        *,
        is_claimed: bool = False,
    ) -> None:
        self._utterances = list(utterances)
        self._store = store
        self._is_claimed = is_claimed
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self._utterances)

    @overload
    def __getitem__(self, place: int) -> Utterance | SyntheticUtterance: ...
    @overload
    def __getitem__(self, place: slice) -> "Recordings": ...
    def __getitem__(self, place: int | slice) -> "Utterance | SyntheticUtterance | Recordings":
        if isinstance(place, slice):
            return self.at(range(len(self))[place])
        return self._utterances[place]

    @property
    def is_held(self) -> bool:
        """Whether all samples are in memory."""
        return isinstance(self._store, Held)

    @property
    def seconds(self) -> float:
        """Of all audio."""
        return float(self.lengths.sum() / SAMPLE_RATE)

    def at(self, places: Iterable[int]) -> "Recordings":
        """Those in some places."""
        places = np.fromiter(places, np.int64)
        return Recordings(
            [self._utterances[place] for place in places],
            self.lengths[places],
            None if self._store is None else self._store.at(places),
            is_claimed=self._is_claimed,
        )

    def beside(self, others: Utterances, lengths: np.ndarray) -> "Recordings":
        """These and others, which are held if these are, and else made whenever they are drawn.

        Args:
            others: utterances.
            lengths: int64 [others].
        """
        store = self._store
        if self.is_held:
            store = Held([*self.pcm(range(len(self))), *map(pcm16, others)])
        elif store is not None:
            store = store.at(np.concatenate([np.arange(len(self)), np.full(len(others), -1)]))
        return Recordings(
            [*self, *others],
            np.concatenate([self.lengths, lengths]),
            store,
            is_claimed=self._is_claimed,
        )

    def pcm(self, places: Sequence[int]) -> Iterator[np.ndarray]:
        """int16 [samples] of each of some places.

        Raises:
            UserError: a file was held nowhere, and is no longer what it was.
        """
        if self.is_held:
            yield from map(self._store.get, places)
            return
        with concurrent.futures.ThreadPoolExecutor() as pool:
            yield from pool.map(self.drawn, places)

    def drawn(self, place: int) -> np.ndarray:
        """int16 [samples] of one, decoded unless they are kept somewhere.

        Raises:
            UserError: it cannot be decoded, or is not as long as was known before.
        """
        if self._store is not None and (kept := self._store.get(place)) is not None:
            return kept
        utterance, length = self._utterances[place], self.lengths[place]
        pcm = pcm16(utterance)
        if abs(pcm.size - length) > (tolerance(length) if self._is_claimed else 0):
            raise UserError(
                f"{utterance.where} has {pcm.size / SAMPLE_RATE:.2f} s of audio, and its header "
                f"says {length / SAMPLE_RATE:.2f} s; encode it again."
                if self._is_claimed
                else f"{utterance.where} has {pcm.size} samples and had {length} before; leave "
                "recordings alone while they are used."
            )
        if self._store is not None:
            self._store.put(place, pcm)
        return pcm


def decoded(
    utterances: Utterances,
    report: CorpusReport | None = None,
    *,
    hold: bool = True,
    on_decoded: Callable[[int, int], None] = lambda done, total: None,
) -> Recordings:
    """Decodes a corpus, once; what is decoded already is given back as it is.

    Args:
        utterances: the corpus.
        report: is told of those that cannot be decoded, which are left out, and of durations that
            are wrong, which are corrected; one that stops at the first fault if not given.
        hold: keep the samples in memory, as int16 (115 MB an hour); otherwise their lengths alone,
            for corpora larger than memory. Of a corpus that was prepared lengths are known, and
            samples are never held.
        on_decoded: is told how many utterances are decoded, of how many.

    Raises:
        UserError: no utterance can be decoded, or one cannot, and `report` stops.
    """
    if isinstance(utterances, Recordings):
        return utterances
    counted = known_lengths(utterances)
    if counted is not None:
        return Recordings(utterances, counted)
    report = report or CorpusReport()
    kept, lengths, held = [], [], []
    # Decoding and resampling release the interpreter's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            decode = pcm16 if hold else _length
            tried = pool.map(functools.partial(_tried, decode), utterances)
            for place, (found, notes) in enumerate(tried):
                on_decoded(place + 1, len(utterances))
                utterance = utterances[place]
                for note in notes:
                    report.notice("recordings with something odd", note)
                if isinstance(found, UserError):
                    report.fault(UNREADABLE_AUDIO, located(utterance, found))
                    continue
                length = found.size if hold else found
                kept.append(_corrected(utterance, length / SAMPLE_RATE, report))
                lengths.append(length)
                if hold:
                    held.append(found)
        except BaseException:
            # Those that wait would all be decoded before the error is seen.
            pool.shutdown(cancel_futures=True)
            raise
    if utterances and not kept:
        raise UserError(f"None of the recordings can be decoded. {report.first()}")
    return Recordings(kept, np.array(lengths, np.int64), Held(held) if hold else None)


def with_noise(recordings: Recordings, share: float, seed: int) -> Recordings:
    """The recordings, and utterances that are noise without a word.

    Args:
        recordings: of speech, of whose lengths the noise is.
        share: of noise among all of them.
        seed: another one gives other noise.
    """
    count = round(len(recordings) * share / (1.0 - share))
    if not count:
        return recordings
    lengths = np.random.default_rng(seed).choice(recordings.lengths, count)
    noise = noise_utterances(lengths / SAMPLE_RATE, list(recordings), seed)
    return recordings.beside(noise, lengths)


def trainable(
    recordings: Recordings,
    tokenizer: "Tokenizer",
    *,
    max_seconds: float,
    labels_per_second: float,
    report: CorpusReport,
) -> Recordings:
    """Those that a model can be trained on; the report is told of the others.

    Args:
        recordings: texts normalised.
        tokenizer: makes the labels.
        max_seconds: of audio.
        labels_per_second: most that the model can emit.
        report: may stop at a text with a symbol outside the vocabulary.

    Raises:
        UserError: none is left, or `report` stops.
    """
    kept = []
    for place, (utterance, length) in enumerate(zip(recordings, recordings.lengths, strict=True)):
        seconds = length / SAMPLE_RATE
        try:
            labels = len(tokenizer.encode(utterance.text))
        except UserError as error:
            report.fault("texts with symbols outside the vocabulary", located(utterance, error))
            continue
        if seconds > max_seconds:
            report.leave_out(
                f"utterances longer than max_seconds={max_seconds:g}",
                f"{utterance.where}: {seconds:.1f} s",
            )
        elif labels > seconds * labels_per_second:
            report.leave_out(
                "texts with more labels than the model can emit in their time",
                f"{utterance.where}: {labels} labels in {seconds:.2f} s",
            )
        else:
            kept.append(place)
    if not kept:
        raise UserError(f"There is no utterance to train on. {report.first()}")
    return recordings.at(kept)


def known_lengths(utterances: Utterances) -> np.ndarray | None:
    """int64 [utterances], samples of each, if all were counted when the corpus was prepared."""
    lengths = []
    for utterance in utterances:
        contents = getattr(utterance, "contents", None)
        length = None if contents is None else contents.known_length(SAMPLE_RATE)
        if length is None or utterance.offset is not None:
            return None
        lengths.append(length)
    return np.array(lengths, np.int64) if lengths else None


def _corrected(
    utterance: Utterance | SyntheticUtterance, seconds: float, report: CorpusReport
) -> Utterance | SyntheticUtterance:
    """The utterance, with the duration that was decoded if another was claimed."""
    tolerance = TOLERANCE_SECONDS + TOLERANCE_SHARE * seconds
    if abs(utterance.duration - seconds) <= tolerance:
        return utterance
    if math.isnan(utterance.duration):
        return dataclasses.replace(utterance, duration=seconds)
    report.notice(
        "durations that are not those of the audio, which counts",
        f"{utterance.where}: {seconds:.2f} s, not {utterance.duration:.2f} s",
    )
    return dataclasses.replace(utterance, duration=seconds)


def located(utterance: Utterance | SyntheticUtterance, error: UserError) -> str:
    """What is wrong with an utterance, and where the corpus names it."""
    origin = getattr(utterance, "origin", "")
    return f"{origin}: {error}" if origin else str(error)


def _tried(
    decode: Callable[..., np.ndarray | int], utterance: Utterance | SyntheticUtterance
) -> tuple[np.ndarray | int | UserError, list[str]]:
    """What comes of an utterance or why nothing does, and what is odd about it."""
    notes: list[str] = []
    try:
        return decode(utterance, notes.append), notes
    except UserError as error:
        return error, notes


def _length(utterance: Utterance | SyntheticUtterance, on_note: Callable[[str], None]) -> int:
    """How many samples it has."""
    if isinstance(utterance, Utterance):
        return utterance.length(SAMPLE_RATE, on_note)
    return utterance.samples(SAMPLE_RATE).size


def pcm16(
    utterance: Utterance | SyntheticUtterance,
    on_note: Callable[[str], None] = lambda note: None,
    sample_rate: int = SAMPLE_RATE,
) -> np.ndarray:
    """Decodes an utterance to int16 `[samples]`; exact for files of 16 bits at that rate in Hz.

    Raises:
        UserError: it cannot be decoded.
    """
    # What is synthesised has nothing odd to it.
    told = {"on_note": on_note} if isinstance(utterance, Utterance) else {}
    scaled = np.round(utterance.samples(sample_rate, **told) * INT16_SCALE)
    return np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1).astype(np.int16)
