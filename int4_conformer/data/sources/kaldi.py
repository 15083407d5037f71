"""Folders as Kaldi and ESPnet have them: wav.scp, text and perhaps segments and utt2spk."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from int4_conformer.audio.samples import MIX
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import CommandOutput, Contents
from int4_conformer.data.sources.entry import (
    DUPLICATE,
    MALFORMED,
    MISSING_AUDIO,
    MISSING_TEXT,
    Entry,
    all_found,
    require_split,
    split_in,
    text_lines,
)
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

# Recipes write paths relative to their own folder, which holds data/train/wav.scp, for example.
_FOLDERS_ABOVE = 4
_CHANNELS = {"A": 1, "B": 2}
# id, and what the file says of it with where it says so.
_Table = dict[str, tuple[str, str]]


def kaldi_folders(root: Path) -> list[Path]:
    """The folder itself if it holds a wav.scp, else those in it that do."""
    if (root / "wav.scp").is_file():
        return [root]
    return sorted(path.parent for path in root.glob("*/wav.scp"))


def read_kaldi(
    root: str | os.PathLike,
    split: str | None = None,
    report: CorpusReport | None = None,
    *,
    allow_commands: bool = False,
) -> list[Utterance]:
    """Reads a folder with wav.scp and text, or one that holds several, each a split.

    `wav.scp` has lines `RECORDING PATH` or `RECORDING COMMAND |`; paths are absolute, or relative
    to the folder or one of those above it, as recipes write them. `text` has `UTTERANCE TEXT`.
    `segments`, if there, has `UTTERANCE RECORDING START END` and perhaps a channel, in seconds, an
    END of -1 for the end; without it every recording is an utterance. `utt2spk` has
    `UTTERANCE SPEAKER`, `reco2dur` and `utt2dur` have seconds.

    Args:
      root: the folder.
      split: keep one split, named as its folder; None keeps all. The split of a single folder is
        what its name speaks of ("dev_clean" is "dev"), or "train".
      report: is told of what cannot be used; one that stops at the first fault if not given.
      allow_commands: run the commands of wav.scp, in a shell.

    Raises:
      UserError: `text` is missing, there is a command and they are not allowed, no utterance is of
        `split` or none can be used; or one cannot, and `report` stops.
    """
    report = report or CorpusReport()
    root = Path(root).resolve()
    folders = kaldi_folders(root)
    names = [folder.name for folder in folders]
    if folders == [root]:
        names = [split_in(root.name)]
    if split is not None:
        require_split(split, names, root)
    entries = (
        entry
        for name, folder in zip(names, folders, strict=True)
        if split in (None, name)
        for entry in _entries(folder, name, report, allow_commands)
    )
    return all_found(entries, report, "the folder or those above it", f"utterance of {root}")


def _entries(
    folder: Path, split: str, report: CorpusReport, allow_commands: bool
) -> Iterator[Entry]:
    text_file = folder / "text"
    if not text_file.is_file():
        raise UserError(f"{folder} has a wav.scp and no file `text`; write `UTTERANCE TEXT` lines.")
    texts = _table(text_file, report, or_nothing=True)
    recordings = _table(folder / "wav.scp", report)
    speakers = _optional(folder / "utt2spk", report)
    durations = _optional(folder / "reco2dur", report)
    segments = _optional(folder / "segments", report)
    if not segments and not durations:
        durations = _optional(folder / "utt2dur", report)
    for where, what in recordings.values():
        if what.endswith("|") and not allow_commands:
            raise UserError(
                f"{where} is a command, `{what}`, which would be run with your rights: look at the "
                "commands in this file, and allow them with --allow_commands."
            )
    if not segments:
        segments = {name: (where, f"{name} 0 -1") for name, (where, _) in recordings.items()}
    for name, (where, segment) in segments.items():
        where_text, text = texts.pop(name, ("", ""))
        if not text:
            report.fault(
                MISSING_TEXT,
                f"{where_text} has no text; write `UTTERANCE TEXT`."
                if where_text
                else f"{where}: {text_file} has no line for {name}; add it.",
            )
            continue
        try:
            recording, first, seconds, channel = _segment(where, segment)
        except UserError as error:
            report.fault(MALFORMED, str(error))
            continue
        if recording not in recordings:
            report.fault(
                MISSING_AUDIO,
                f"{where} is of the recording {recording}, which wav.scp does not have; add it.",
            )
            continue
        scp, what = recordings[recording]
        claimed = _number(durations.get(recording, ("", ""))[1])
        if first is not None and seconds is None and claimed is not None and first < claimed:
            seconds = claimed - first
        audio, contents = _audio(folder, recording, what)
        yield Entry(
            where=where if where == scp else f"{where}, {scp}",
            audio=audio,
            contents=contents,
            text=text,
            offset=first,
            duration=claimed if first is None else seconds,
            channel=channel,
            speaker=speakers.get(name, ("", ""))[1],
            split=split,
        )
    for name, (where, _) in texts.items():
        report.fault(
            MISSING_AUDIO, f"{where} is of {name}, for which there is no recording or segment."
        )


def _table(path: Path, report: CorpusReport, *, or_nothing: bool = False) -> _Table:
    """What the lines of a file say, by their first word."""
    table: _Table = {}
    for where, line in text_lines(path, report):
        name, _, rest = line.replace("\t", " ").partition(" ")
        if name in table:
            report.fault(DUPLICATE, f"{where} has the id {name} of an earlier line; give another.")
        elif not (rest.strip() or or_nothing):
            report.fault(MALFORMED, f"{where} has an id and nothing else: {line!r}")
        else:
            table[name] = where, rest.strip()
    return table


def _optional(path: Path, report: CorpusReport) -> _Table:
    return _table(path, report) if path.is_file() else {}


def _segment(where: str, line: str) -> tuple[str, float | None, float | None, str | int]:
    """Recording, start (None: the whole), seconds (None: to the end) and channel of a segment."""
    recording, *rest = line.split()
    numbers = [_number(word) for word in rest[:2]]
    if len(numbers) < 2 or None in numbers or len(rest) > 3:
        raise UserError(
            f"{where} must be `UTTERANCE RECORDING START END`, in seconds. Received: {line!r}"
        )
    first, last = numbers
    if first < 0 or (last != -1 and last <= first):
        raise UserError(f"{where}: the segment must begin at 0 or later and end after that: {line}")
    channel: str | int = MIX
    if len(rest) == 3:
        channel = _CHANNELS.get(rest[2], 0) or (int(rest[2]) + 1 if rest[2].isdecimal() else 0)
        if not channel:
            raise UserError(f"{where}: the channel must be A, B or a number. Received: {rest[2]}")
    if last == -1:
        return recording, first or None, None, channel
    return recording, first, last - first, channel


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _audio(folder: Path, recording: str, what: str) -> tuple[str, Contents | None]:
    """What to call the audio of a line of wav.scp, and how to come by it if it is no file."""
    if what.endswith("|"):
        command = what.removesuffix("|").strip()
        return f"{folder / 'wav.scp'}:{recording}", CommandOutput(command=command)
    places = [folder, *folder.parents[:_FOLDERS_ABOVE]]
    paths = [place / what for place in places]
    # Unlike that of Path, this one takes names that are too long.
    path = next((path for path in paths if os.path.isfile(path)), paths[0])
    if not os.path.isfile(path) and re.search(r"\.ark:\d+$", what):
        raise UserError(
            f"{folder / 'wav.scp'} names a place in an archive, {what}, which is not read; give "
            "one audio file for each recording."
        )
    return os.path.abspath(path), None
