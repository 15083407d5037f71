"""LibriSpeech as its archives unpack: `SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`."""

import os
from collections.abc import Iterator
from pathlib import Path

from int4_conformer.audio import audio_files
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.entry import (
    MALFORMED,
    MISSING_AUDIO,
    UNREADABLE_AUDIO,
    require_split,
)
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError


def is_librispeech(root: Path) -> bool:
    """Whether a folder, or one in it, has transcripts of LibriSpeech's kind."""
    return next(_transcripts(root.resolve()), None) is not None


def read_librispeech(
    root: str | os.PathLike, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads a LibriSpeech folder: the one that holds the splits, or one split.

    Links to folders are followed; a chapter that is there by two names is read once.

    Args:
      root: `LibriSpeech/`, or for example `LibriSpeech/train-clean-100/`.
      split: keep one split, named as its folder ("dev-clean"); None keeps all.
      report: is told of lines that cannot be used; one that stops at the first if not given.

    Returns:
      Utterances in the order of their ids, split by split.

    Raises:
      UserError: there is no transcript under `root`, no utterance is of `split`, no line can be
        used, or one cannot, has no text or no FLAC file, and `report` stops.
    """
    report = report or CorpusReport()
    # Resolved, so that the folder above a chapter has a name even where root is ".".
    transcripts = sorted(_transcripts(Path(root).resolve()))
    if not transcripts:
        raise UserError(
            f"{root} is no LibriSpeech folder: it holds no SPEAKER/CHAPTER/*.trans.txt file."
        )
    if split is not None:
        require_split(split, map(_split, transcripts), root)
        transcripts = [transcript for transcript in transcripts if _split(transcript) == split]
    once = {os.path.realpath(transcript): transcript for transcript in reversed(transcripts)}
    utterances = [
        utterance
        for transcript in sorted(once.values())
        for utterance in _chapter(transcript, report)
    ]
    if not utterances:
        raise UserError(f"No line of the transcripts in {root} can be used. {report.first()}")
    return utterances


def _transcripts(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """All transcripts in a folder and those in it. A link to a folder that it lies in is left
    alone: it would have no end."""
    stat = folder.stat()
    identity = (stat.st_dev, stat.st_ino)
    if identity in above:
        return
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _transcripts(folder / entry.name, above | {identity})
        elif entry.name.endswith(".trans.txt"):
            yield folder / entry.name


def _split(transcript: Path) -> str:
    return transcript.parents[2].name


def _chapter(transcript: Path, report: CorpusReport) -> Iterator[Utterance]:
    for number, line in enumerate(transcript.read_bytes().splitlines(), start=1):
        where = f"Line {number} of {transcript}"
        try:
            name, _, text = line.decode("utf-8").partition(" ")
        except UnicodeDecodeError:
            report.fault(MALFORMED, f"{where} is not UTF-8 text; save the transcript as UTF-8.")
            continue
        audio = os.path.join(transcript.parent, f"{name}.flac")
        if not text.strip():
            report.fault(MALFORMED, f"{where} has no text; write `ID TRANSCRIPT`.")
            continue
        if os.path.dirname(audio) != str(transcript.parent) or not os.path.isfile(audio):
            report.fault(
                MISSING_AUDIO,
                f"{where} names {name}.flac, which is not beside it; unpack the archive again.",
            )
            continue
        try:
            seconds = audio_files.duration(audio)
        except UserError as error:
            report.fault(UNREADABLE_AUDIO, f"{where}: {error}")
            continue
        yield Utterance(
            audio=audio,
            text=text.strip(),
            duration=seconds,
            speaker=transcript.parents[1].name,
            split=_split(transcript),
            origin=where,
        )
