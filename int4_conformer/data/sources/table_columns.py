"""Which column of a table is what: tables name theirs in many ways."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.entry import Entry
from int4_conformer.errors import UserError

# Of several that a table has, the first counts.
_NAMES = {
    "audio": (
        *("audio", "path", "file_name", "filename", "file", "audio_path", "audio_filepath"),
        *("wav_filename", "wav", "audio_file", "filepath"),
    ),
    "text": ("sentence", "text", "transcript", "transcription", "normalized_text", "wrd"),
    "duration": ("duration", "duration_s", "length_s"),
    "offset": ("offset", "start", "begin"),
    "speaker": ("client_id", "speaker", "speaker_id", "spk_id"),
    "split": ("split",),
}
# Folders that hold the recordings beside the table that names them, as Common Voice has it.
_BESIDE = (".", "clips", "audio", "wavs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """What a table calls its columns; None for those that it does not have."""

    audio: str
    text: str
    duration: str | None
    offset: str | None
    speaker: str | None
    split: str | None

    @classmethod
    def of(cls, names: Sequence[str], table: str | os.PathLike) -> "Columns":
        """Finds them among the names of a table's columns, whatever their case.

        Raises:
            UserError: there is none for audio or for texts.
        """
        known = {name.strip().lower(): name for name in reversed(names)}
        found = {
            what: next((known[alias] for alias in aliases if alias in known), None)
            for what, aliases in _NAMES.items()
        }
        for what in ("audio", "text"):
            if found[what] is None:
                raise UserError(
                    f"{table} has no column of {what}, which would be called "
                    f"{', '.join(_NAMES[what][:6])}; its columns are "
                    f"{', '.join(map(repr, names)) or 'none'}. Rename one."
                )
        return cls(**found)

    def entry(
        self,
        row: Mapping[str, object],
        *,
        where: str,
        table: Path,
        split: str,
        contents: Contents | None = None,
    ) -> Entry:
        """The utterance of a row.

        Args:
            row: cells by the names of their columns; empty texts and None are absent.
            where: the row is, for the user.
            table: that holds it; what its paths are relative to.
            split: of the table, if the row has none.
            contents: the audio, if it is within the table.

        Raises:
            UserError: the row has no audio or no text, or a time that is none.
        """
        audio, text = _text(row, self.audio), _text(row, self.text)
        if contents is None and not audio:
            raise UserError(f"{where} has nothing in the column {self.audio!r}; name a file.")
        if not text:
            raise UserError(f"{where} has nothing in the column {self.text!r}; write its text.")
        duration = _seconds(row, self.duration, where)
        if duration is not None and duration <= 0:
            raise UserError(f"{where}: {self.duration!r} must be positive. Received: {duration}")
        if contents is None:
            places = [os.path.abspath(table.parent / folder / audio) for folder in _BESIDE]
            audio = next(filter(os.path.isfile, places), places[0])
        return Entry(
            where=where,
            audio=audio,
            contents=contents,
            text=text,
            duration=duration,
            offset=_seconds(row, self.offset, where),
            speaker=_text(row, self.speaker),
            split=_text(row, self.split) or split,
        )


def _text(row: Mapping[str, object], column: str | None) -> str:
    value = row.get(column) if column is not None else None
    return "" if value is None else str(value).strip()


def _seconds(row: Mapping[str, object], column: str | None, where: str) -> float | None:
    given = _text(row, column)
    if not given:
        return None
    try:
        number = float(given)
        if not 0 <= number < float("inf"):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{where}: {column!r} must be a number of seconds. Received: {given!r}"
        ) from None
    return number
