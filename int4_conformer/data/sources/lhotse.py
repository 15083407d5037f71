"""Cuts as Lhotse writes them: JSON lines, gzipped mostly, of recordings with their supervisions."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from int4_conformer.audio.samples import MIX
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import CommandOutput
from int4_conformer.data.sources.entry import (
    DUPLICATE,
    MALFORMED,
    MISSING_TEXT,
    Entry,
    all_found,
    require_split,
    split_in,
    text_lines,
)
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.files import json_value

_UNREAD = "cuts of a kind that is not read"
# Seconds by which a supervision may miss the ends of its recording and still be all of it.
_ROUNDING = 0.01
# Bytes of the line by which a file is known.
_MOST_LINE = 2**24


def cuts_in(folder: Path) -> list[Path]:
    """Files of cuts in a folder, by their names and first lines."""
    return [path for path in sorted(folder.glob("*cuts*.jsonl*")) if is_cuts(path)]


def is_cuts(path: Path) -> bool:
    """Whether the first line of a file is a cut."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            first = json_value(file.readline(_MOST_LINE).removeprefix(b"\xef\xbb\xbf"))
    except (OSError, EOFError, ValueError, zlib.error):
        return False
    return isinstance(first, dict) and ("supervisions" in first or "tracks" in first)


def read_lhotse(
    path: str | os.PathLike,
    split: str | None = None,
    report: CorpusReport | None = None,
    *,
    allow_commands: bool = False,
) -> list[Utterance]:
    """Reads files of cuts; each supervision with a text is an utterance.

    Args:
      path: a file, `.jsonl` or `.jsonl.gz`, or a folder of some. Paths in it are absolute, or
        relative to its folder or to the current one.
      split: keep one split; None keeps all. A file is of the split that its name speaks of
        ("cuts_dev-clean" is "dev"), or "train".
      report: is told of what cannot be used; one that stops at the first fault if not given.
      allow_commands: run the commands that recordings are made of, in a shell.

    Raises:
      UserError: the file cannot be read, there is a command and they are not allowed, `split` is
        another or no utterance can be used; or one cannot, and `report` stops.
    """
    report = report or CorpusReport()
    path = Path(path)
    files = cuts_in(path) if path.is_dir() else [path]
    names = [split_in(file.name) for file in files]
    if split is not None:
        require_split(split, names, path)
    entries = (
        entry
        for name, file in zip(names, files, strict=True)
        if split in (None, name)
        for entry in _entries(file, name, report, allow_commands)
    )
    return all_found(entries, report, "the file of cuts", f"cut of {path}")


def _entries(path: Path, split: str, report: CorpusReport, allow_commands: bool) -> Iterator[Entry]:
    known: set[str] = set()
    for where, line in text_lines(path, report):
        try:
            cut = json_value(line)
            name, kind = cut["id"], cut.get("type", "MonoCut")
            if name in known:
                report.fault(
                    DUPLICATE, f"{where} has the id {name} of an earlier cut; give another."
                )
                continue
            known.add(name)
            if reason := _unread(cut, kind):
                report.fault(_UNREAD, f"{where}: {reason}")
                continue
            spoken = [s for s in cut["supervisions"] if (s.get("text") or "").strip()]
            if not spoken:
                report.fault(MISSING_TEXT, f"{where}: the cut {name} has no supervision with text.")
            for supervision in spoken:
                yield _entry(where, cut, supervision, path, split, allow_commands)
        except UserError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else f"is no cut ({error})"
            report.fault(MALFORMED, f"{where} {what}; write the cuts with Lhotse again.")


def _unread(cut: dict[str, Any], kind: str) -> str:
    """Why a cut is not read, or nothing."""
    if kind not in ("MonoCut", "MultiCut", "Cut"):
        return f"a {kind} is not read; save the cuts that it is made of"
    recording = cut.get("recording")
    if recording is None:
        return f"the cut {cut['id']} has no recording; keep recordings when you save cuts"
    if recording.get("transforms"):
        return f"the recording of {cut['id']} is to be transformed; save the audio with Lhotse"
    sources = recording["sources"]
    if len(sources) != 1:
        return f"the recording of {cut['id']} is of {len(sources)} files; save it as one"
    if sources[0]["type"] not in ("file", "command"):
        return f"the recording of {cut['id']} is a {sources[0]['type']!r}; save it as a file"
    return ""


def _entry(
    where: str,
    cut: dict[str, Any],
    supervision: dict[str, Any],
    path: Path,
    split: str,
    allow_commands: bool,
) -> Entry:
    recording = cut["recording"]
    (source,) = recording["sources"]
    # Supervisions count from the start of their cut, and may begin before it.
    begin = max(0.0, float(cut["start"]) + float(supervision["start"]))
    seconds, whole = float(supervision["duration"]), float(recording["duration"])
    if not (0 < seconds < math.inf and begin < math.inf):
        raise ValueError(f"{supervision['start']!r} and {supervision['duration']!r} are no times")
    is_whole = begin <= _ROUNDING and begin + seconds >= whole - _ROUNDING
    contents, audio = None, source["source"]
    if source["type"] == "command":
        if not allow_commands:
            raise UserError(
                f"{where} is made by a command, `{audio}`, which would be run with your rights: "
                "look at the commands in this file, and allow them with --allow_commands."
            )
        contents, audio = CommandOutput(command=audio), f"{path}:{recording['id']}"
    else:
        beside = os.path.abspath(path.parent / audio)
        audio = beside if os.path.isfile(beside) else os.path.abspath(audio)
    return Entry(
        where=where,
        audio=audio,
        contents=contents,
        text=supervision["text"],
        offset=None if is_whole else begin,
        duration=whole if is_whole else seconds,
        channel=_channel(cut, source["channels"]),
        speaker=supervision.get("speaker") or "",
        split=split,
    )


def _channel(cut: dict[str, Any], channels: list[int]) -> str | int:
    """Ours of Lhotse's, which counts from 0; several are mixed."""
    chosen = cut.get("channel", 0)
    if isinstance(chosen, list):
        chosen = chosen[0] if len(chosen) == 1 else None
    if chosen is None or len(channels) == 1:
        return MIX
    return channels.index(chosen) + 1
