"""A folder of recordings, each with its text beside it: a.wav and a.txt."""

import os
from collections.abc import Iterator
from pathlib import Path

from int4_conformer.audio.audio_files import ENDINGS
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.entry import (
    DUPLICATE,
    MALFORMED,
    MISSING_TEXT,
    Entry,
    found,
    require_split,
    split_in,
)
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError


def is_plain_folder(root: Path) -> bool:
    """Whether a folder, or one in it, has a recording with a text beside it."""
    return any(path.with_suffix(".txt").is_file() for path in _recordings(root))


def read_plain_folder(
    root: str | os.PathLike, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads a folder, and those in it, of audio files with a `.txt` file of the same name beside.

    A text of several lines is joined to one. What lies in a folder `train`, `dev` or `test` at the
    top is of that split, all else of "train". Links to folders are followed.

    Args:
      root: the folder.
      split: keep one split; None keeps all.
      report: is told of recordings without a text and of texts without one, which are left out;
        one that stops at the first fault if not given.

    Raises:
      UserError: there is no such split, no recording can be used; or one cannot, and `report`
        stops.
    """
    report = report or CorpusReport()
    root = Path(root).resolve()
    recordings = list(_recordings(root))
    splits = [_split(root, path) for path in recordings]
    if split is not None:
        require_split(split, splits, root)
    used: dict[Path, Path] = {}
    utterances = []
    for path, name in zip(recordings, splits, strict=True):
        stem = path.with_suffix("")
        if stem in used:
            report.fault(DUPLICATE, f"{path} has the name of {used[stem].name}; leave one of them.")
            continue
        used[stem] = path
        entry = _entry(path, name, report) if split in (None, name) else None
        if entry and (utterance := found(entry, report, "the folder")):
            utterances.append(utterance)
    for text in sorted(_files(root)):
        if text.suffix.lower() == ".txt" and text.with_suffix("") not in used:
            report.leave_out("texts without a recording", str(text))
    if not utterances:
        raise UserError(f"No recording in {root} can be used. {report.first()}")
    return utterances


def _files(root: Path) -> Iterator[Path]:
    above: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in above:
            # A link to a folder that it lies in has no end.
            folders.clear()
            continue
        above.add(real)
        # Hidden files, such as those that macOS adds, are no recordings.
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def _recordings(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in _files(root) if path.suffix.lower() in ENDINGS)


def _split(root: Path, path: Path) -> str:
    parts = path.relative_to(root).parts
    return split_in(parts[0]) if len(parts) > 1 else "train"


def _entry(path: Path, split: str, report: CorpusReport) -> Entry | None:
    text_file = path.with_suffix(".txt")
    if not text_file.is_file():
        report.fault(MISSING_TEXT, f"{path} has no {text_file.name} beside it; write its text.")
        return None
    try:
        text = " ".join(text_file.read_text("utf-8-sig").split())
    except UnicodeDecodeError:
        report.fault(MALFORMED, f"{text_file} is not UTF-8 text; save the file as UTF-8.")
        return None
    if not text:
        report.fault(MISSING_TEXT, f"{text_file} is empty; write the text of {path.name} into it.")
        return None
    return Entry(where=str(text_file), audio=str(path), text=text, split=split)
