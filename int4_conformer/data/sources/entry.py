"""What the sources have in common: lines, and what becomes of an utterance that one names."""

import dataclasses
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from int4_conformer.audio import audio_files
from int4_conformer.audio.samples import MIX
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

MALFORMED = "lines that are malformed"
MISSING_AUDIO = "audio files that are missing"
MISSING_TEXT = "texts that are missing"
UNREADABLE_AUDIO = "audio files that cannot be decoded"
DUPLICATE = "ids that are there twice"

# Bytes of a gzipped file: a thousandth of them can unpack to as many.
MOST_UNPACKED = 2**31

# A thousand years in seconds: what is longer is a mistake, and no number of samples.
_MOST_SECONDS = 3e10

# Names of splits, as parts of the names of files and folders.
_SPLITS = ("train", "dev", "test", "valid", "validation", "validated", "invalidated", "other")


class MissingSplitError(UserError):
    """A corpus has no split of the name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """An utterance as a corpus names it: nobody has looked at its audio yet."""

    # Where the corpus names it, such as "Line 7 of a.jsonl".
    where: str
    # Absolute path of the audio file, or what to call `contents`.
    audio: str
    text: str
    # Where the audio is no file of its own.
    contents: Contents | None = None
    # Seconds; None takes what the header says, to the end.
    duration: float | None = None
    # Seconds into the file; None takes the whole file.
    offset: float | None = None
    channel: str | int = MIX
    speaker: str = ""
    split: str = "train"


def found(entry: Entry, report: CorpusReport, beside: str) -> Utterance | None:
    """The utterance of an entry, or None, told to the report, if its audio is not there.

    Args:
        entry: what the corpus says.
        report: may stop at what is not there.
        beside: what relative paths are relative to, for the user.
    """
    if entry.contents is None and not os.path.isfile(entry.audio):
        report.fault(
            MISSING_AUDIO,
            f"{entry.where} names the audio file {entry.audio}, which does not exist; "
            f"paths are relative to {beside}.",
        )
        return None
    seconds, offset = entry.duration, entry.offset
    if max(seconds or 0.0, offset or 0.0) > _MOST_SECONDS:
        report.fault(
            MALFORMED,
            f"{entry.where} has a time of more than {_MOST_SECONDS:g} s; write it in seconds.",
        )
        return None
    if seconds is None and entry.contents is not None and offset is None:
        # Only decoding tells, which happens later.
        seconds = math.nan
    if seconds is None:
        try:
            seconds = _seconds(entry)
        except UserError as error:
            report.fault(UNREADABLE_AUDIO, f"{entry.where}: {error}")
            return None
        if offset is not None and offset >= seconds:
            report.fault(
                UNREADABLE_AUDIO,
                f"{entry.where}: {entry.audio} ends at {seconds:g} s, before the `offset` of "
                f"{offset:g} s; mend it.",
            )
            return None
        seconds -= offset or 0.0
    return Utterance(
        audio=entry.audio,
        text=entry.text,
        duration=float(seconds),
        offset=None if offset is None else float(offset),
        channel=entry.channel,
        contents=entry.contents,
        speaker=entry.speaker,
        split=entry.split,
        origin=entry.where,
    )


def all_found(
    entries: Iterable[Entry], report: CorpusReport, beside: str, what: str
) -> list[Utterance]:
    """The utterances of entries, but for those that `found` has not.

    Args:
        entries: what the corpus says.
        report: as of `found`.
        beside: as of `found`.
        what: one of the corpus, for the user, such as "line of a.jsonl".

    Raises:
        UserError: there are none; or one cannot be used, and the report stops.
    """
    utterances = [u for entry in entries if (u := found(entry, report, beside))]
    if not utterances:
        raise UserError(f"No {what} can be used. {report.first()}")
    return utterances


def _seconds(entry: Entry) -> float:
    if entry.contents is None:
        return audio_files.duration(entry.audio)
    with audio_files.opened_bytes(entry.contents.read(), entry.audio) as file:
        return file.seconds()


def require_split(split: str, present: Iterable[str], corpus: str | os.PathLike) -> None:
    """Raises MissingSplitError, naming the splits of the corpus, unless `split` is among them."""
    present = set(present)
    if split not in present:
        raise MissingSplitError(
            f"{corpus} has no split {split!r}; it has {', '.join(map(repr, sorted(present)))}."
        )


def split_in(name: str) -> str:
    """The split that the name of a file or folder speaks of, "train" if of none.

    Example:

        >>> split_in("cuts_dev-clean"), split_in("metadata"), split_in("validated")
        ('dev', 'train', 'validated')
    """
    words = re.split(r"[^a-z]+", name.lower())
    return next((word for word in words if word in _SPLITS), "train")


def lines_of(path: Path) -> list[tuple[int, bytes]]:
    """Lines of a file, gzipped perhaps, that are not empty, with their numbers from 1 on.

    In bytes, so that a line of another encoding is a fault of that line; and parted at line feeds
    alone, for texts may hold the other line separators of Unicode.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
        if is_packed := content[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path} cannot be read ({reason}); check the file.") from error
    if is_packed and len(content) > MOST_UNPACKED:
        raise UserError(
            f"{path} has more than {MOST_UNPACKED:,} bytes when it is unpacked, which may be a "
            "mistake; if it is none, unpack it yourself."
        )
    return numbered_lines(content)


def numbered_lines(content: bytes) -> list[tuple[int, bytes]]:
    """Likewise lines of what a file holds."""
    numbered = enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    return [(number, line) for number, line in numbered if line.strip()]


def text_lines(path: Path, report: CorpusReport) -> Iterator[tuple[str, str]]:
    """Where each line of `lines_of` is, for the user, and the line as text, without white space
    around it; the report is told of those that are none."""
    for number, line in lines_of(path):
        where = f"Line {number} of {path}"
        try:
            yield where, line.decode("utf-8").strip()
        except UnicodeDecodeError:
            report.fault(MALFORMED, f"{where} is not UTF-8 text; save the file as UTF-8.")
