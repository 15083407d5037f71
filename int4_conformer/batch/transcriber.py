"""What a worker does: recordings in, rows of transcripts out, whatever is wrong with one."""

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from int4_conformer.audio import audio_files
from int4_conformer.audio.samples import MIX, require_channel
from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.batch.file_access import FileAccess, LocalFiles
from int4_conformer.batch.shard_formats import Row
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError, require_in
from int4_conformer.fields import setting
from int4_conformer.lite.long_audio import PART_RANGE
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.result_json import words_json
from int4_conformer.lite.words import Recognition, Word
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.search.table_scorers import NGramScorer


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriberConfig:
    """How recordings are heard, and searched for words."""

    channel: str = setting(MIX, "mix, left, right or a number from 1 on.")
    gate: bool = setting(True, "Whether silence and steady noise are kept from the model.")
    part_seconds: float | None = setting(
        None, "Longest part, in seconds, when a recording of over 40 s is cut into parts."
    )
    phrases: tuple[str, ...] = setting((), "Phrases to prefer.")
    only: bool = setting(False, "Whether nothing but the phrases may be said.")
    bonus: float = setting(
        BIAS_SCORE, "Added to the score for each token of a preferred phrase, in nats."
    )
    beam: BeamConfig | None = setting(None, "How wide to search; None is greedy search.")
    lm: str | None = setting(None, "ARPA file of a language model.")

    def __post_init__(self) -> None:
        require_channel(self.channel)
        if self.part_seconds is not None:
            least, most = PART_RANGE
            require_in(f"[{least:g}, {most:g}]", part_seconds=self.part_seconds)
        if self.only and not self.phrases:
            raise UserError("`only` needs phrases; give them, or leave it out.")


class Transcriber:
    """Recognises recordings with a model that is loaded once.

    Args:
        model: the `.tflite` file.
        config: how recordings are heard.
        files: has the recordings and the language model.

    Raises:
        UserError: the file is no recogniser, has no such search or no times of words, or a phrase
            cannot be spelled.

    Example:

        for row in Transcriber("model.tflite").rows([Recording(audio="speech.wav")]):
            print(row["text"])
    """

    def __init__(
        self,
        model: str | os.PathLike,
        config: TranscriberConfig | None = None,
        files: FileAccess | None = None,
    ) -> None:
        config = config or TranscriberConfig()
        self._channel = config.channel
        self._files = files or LocalFiles()
        self._recognizer = Recognizer(model, gated=config.gate, part_seconds=config.part_seconds)
        self._search = self._searched(config)
        # What the file cannot do is said now, and not of each recording; this is no silence.
        rate = self._recognizer.sample_rate
        click = np.float32(0.1 * np.sin(2 * np.pi * 500 * np.arange(rate // 10) / rate))
        self._recognizer.recognize(click, rate, **self._search)

    def rows(self, recordings: Sequence[Recording]) -> Iterator[Row]:
        """A row for each recording, in their order.

        It has `audio`, and `offset` of a segment. What was recognised has `duration` in seconds,
        `text`, `confidence` (the geometric mean of its words', None without any), `words` with
        `text`, `start`, `end` and `confidence`, times in seconds from the start of the file or
        segment, and `notes` on what is odd, if anything is. What was not has `error`, a sentence.

        Args:
            recordings: those of one file after each other, so that it is decoded once.
        """
        for audio, group in itertools.groupby(recordings, lambda recording: recording.audio):
            segments = list(group)
            try:
                with self._files.local(audio) as path:
                    for recording in segments:
                        yield self._row(recording, path)
            except UserError as error:
                yield from (failed(recording, str(error)) for recording in segments)

    def _searched(self, config: TranscriberConfig) -> dict[str, Any]:
        """Arguments of the recogniser's methods; none for greedy search."""
        search: dict[str, Any] = {}
        if config.phrases:
            search |= {"phrases": config.phrases, "only": config.only, "bonus": config.bonus}
        if config.lm is not None:
            with self._files.local(config.lm) as path:
                search["lm"] = NGramScorer.read(path, self._recognizer.vocabulary)
        if search or config.beam is not None:
            search["beam"] = config.beam or BeamConfig()
        return search

    def _row(self, recording: Recording, path: str) -> Row:
        notes: list[str] = []
        audio = recording.audio
        try:
            found, seconds = self._heard(recording, path, notes.append)
        except UserError as error:
            return failed(recording, str(error).replace(path, audio))
        # One recording among a million is no reason to lose the others.
        except Exception as error:
            return failed(
                recording,
                f"{audio} could not be recognised ({type(error).__name__}: {error}); leave it out, "
                "and report it as a defect of this program.",
            )
        row = _named(recording) | {
            "duration": round(seconds, 3),
            "text": found.text,
            "confidence": _confidence(found.words),
            "words": words_json(found.words),
        }
        if notes:
            row["notes"] = [note.replace(path, audio) for note in notes]
        return row

    def _heard(
        self, recording: Recording, path: str, on_note: Callable[[str], None]
    ) -> tuple[Recognition, float]:
        """What was said, and for how many seconds was listened."""
        rate = self._recognizer.sample_rate
        if recording.offset is not None:
            samples = self._segment(recording, path, on_note)
            return self._recognizer.recognize(samples, rate, **self._search), len(samples) / rate
        count = 0

        def counted(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal count
            for block in blocks:
                count += len(block)
                yield block

        with audio_files.opened(path) as file:
            blocks = counted(file.blocks(rate, self._channel, on_note))
            found = self._recognizer.recognize_long(blocks, rate, **self._search)
        return found, count / rate

    def _segment(
        self, recording: Recording, path: str, on_note: Callable[[str], None]
    ) -> np.ndarray:
        duration = recording.duration
        if duration is None:
            # What there is at `offset` or behind it; too long is to the end.
            duration = max(0.0, audio_files.duration(path) - recording.offset)
        segment = Utterance(
            audio=path,
            text="",
            duration=duration,
            offset=recording.offset,
            channel=self._channel,
        )
        return segment.samples(self._recognizer.sample_rate, on_note)


def failed(recording: Recording, sentence: str) -> Row:
    """The row of a recording that could not be recognised."""
    return _named(recording) | {"error": sentence}


def _named(recording: Recording) -> Row:
    offset = {} if recording.offset is None else {"offset": recording.offset}
    return {"audio": recording.audio} | offset


def _confidence(words: Sequence[Word]) -> float | None:
    if not words:
        return None
    # A probability may be too small for a float.
    logs = [math.log(max(word.confidence, 1e-30)) for word in words]
    return round(math.exp(sum(logs) / len(logs)), 4)
