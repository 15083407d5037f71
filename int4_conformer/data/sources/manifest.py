"""A corpus as a JSON-lines manifest."""

import math
import os
from collections.abc import Callable
from typing import Any

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.entry import MALFORMED, Entry, all_found, lines_of, require_split
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.files import json_value
from int4_conformer.remote_path import AnyPath, is_remote, path_of

UNKNOWN_KEYS = "keys of lines that mean nothing here"


def read_manifest(
    path: str | os.PathLike,
    split: str | None = None,
    report: CorpusReport | None = None,
    *,
    contents_of: Callable[[str], Contents | None] = lambda path: None,
) -> list[Utterance]:
    """Reads a manifest, one JSON object a line.

    Keys: `audio` (or NeMo's `audio_filepath`; a path, absolute or relative to the manifest) and
    `text`; optional `duration` (seconds; read from the audio's header if absent), `offset` (seconds
    into the file at which the utterance begins, of `duration` or else to the end), `speaker` ("" if
    absent) and `split` ("train" if absent). Others are ignored, and named in the report.

    Args:
      path: the manifest.
      split: keep the utterances of this split; None keeps all.
      report: is told of lines that cannot be used; one that stops at the first if not given.
      contents_of: gives what reads an audio file, given its path; None for one of this machine.

    Raises:
      UserError: the manifest is missing or empty, no utterance is of `split` (a
        `MissingSplitError`), or no line can be used; or one cannot, and `report` stops.
    """
    report = report or CorpusReport()
    path = path_of(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a manifest file, one JSON object a line.")
    if not path.exists():
        raise UserError(f"There is no manifest {path}; check the path.")
    lines = lines_of(path)
    if not lines:
        raise UserError(f"The manifest {path} is empty; write one JSON object a line.")
    entries, unknown = [], {}
    for number, line in lines:
        try:
            entry, others = parse_line(line, path, number)
        except UserError as error:
            report.fault(MALFORMED, str(error))
            continue
        entries.append(entry)
        for key in others:
            unknown.setdefault(key, number)
    for key, number in unknown.items():
        report.notice(UNKNOWN_KEYS, f"{key!r}, as in line {number} of {path}")
    if split is not None and entries:
        require_split(split, (entry["split"] for entry in entries), path)
        entries = [entry for entry in entries if entry["split"] == split]
    entries = (_entry(given, path, contents_of) for given in entries)
    return all_found(entries, report, "the manifest", f"line of {path}")


_TYPES = {
    "audio": str,
    "text": str,
    "duration": (int, float),
    "offset": (int, float),
    "speaker": str,
    "split": str,
}
_NAMES = {str: "a string", (int, float): "a number of seconds"}
# What others call ours.
_ALIASES = {"audio_filepath": "audio"}


def parse_line(
    line: bytes, path: str | os.PathLike, number: int, *, needs_text: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """The keys of a line that we know, checked, with the defaults of absent ones; and the others.

    Args:
      line: of the manifest.
      path: of the manifest.
      number: of the line.
      needs_text: whether there must be a transcript; "" is its default otherwise.

    Raises:
      UserError: the line is malformed.
    """
    where = f"Line {number} of {path}"
    try:
        given = json_value(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text; save the manifest as UTF-8.") from error
    except ValueError as error:
        reason = getattr(error, "msg", "nested too deep, or a number too long")
        raise UserError(f"{where} is not JSON ({reason}); write one JSON object a line.") from error
    if not isinstance(given, dict):
        raise UserError(f'{where} is not a JSON object; write {{"audio": ..., "text": ...}}.')
    for alias, key in _ALIASES.items():
        if key not in given and alias in given:
            given[key] = given.pop(alias)
    entry = {"duration": None, "offset": None, "speaker": "", "split": "train", "line": number}
    if not needs_text:
        entry["text"] = ""
    for key, kind in _TYPES.items():
        if key not in given:
            if key not in entry:
                raise UserError(f"{where} has no key {key!r}; add it.")
            continue
        value = given[key]
        # To Python, True is a number.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{where}: {key!r} must be {_NAMES[kind]}. Received: {value!r}")
        entry[key] = value
    seconds, offset = entry["duration"], entry["offset"]
    if seconds is not None and not 0 < seconds < math.inf:
        raise UserError(f"{where}: 'duration' must be positive and finite. Received: {seconds}")
    if offset is not None and not 0 <= offset < math.inf:
        raise UserError(f"{where}: 'offset' must be finite and not negative. Received: {offset}")
    return entry, [key for key in given if key not in _TYPES]


def _entry(
    given: dict[str, Any], path: AnyPath, contents_of: Callable[[str], Contents | None]
) -> Entry:
    where, audio = f"Line {given.pop('line')} of {path}", given.pop("audio")
    if not is_remote(audio):
        folder = str(path.parent)
        audio = f"{folder}/{audio}" if is_remote(folder) else os.path.abspath(path.parent / audio)
    return Entry(where=where, audio=audio, contents=contents_of(audio), **given)
