"""What a job is to recognise: recordings that manifests, tables, lists, folders and globs name."""

import csv
import dataclasses
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from int4_conformer.batch.file_access import FileAccess
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.entry import MALFORMED, numbered_lines
from int4_conformer.data.sources.manifest import parse_line
from int4_conformer.errors import UserError, did_you_mean

# Bytes that a second of speech takes about, by the ending of the file: longer files take longer.
_BYTES_A_SECOND = {
    ".wav": 32000,
    ".flac": 16000,
    ".aiff": 32000,
    ".aif": 32000,
    ".au": 16000,
    ".mp3": 8000,
    ".ogg": 4000,
    ".oga": 4000,
    ".opus": 4000,
}
# Of a file that nobody knows the size of.
_TYPICAL_SECONDS = 10.0
# Tables, by their ending, and what parts their columns.
_TABLES = {".tsv": "\t", ".csv": ","}
_MANIFESTS = (".jsonl", ".json")
_LIST = ".txt"
# What a column of paths is called, where nobody says.
_COLUMNS = ("audio", "path", "file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """An audio file, or a segment of one."""

    # Absolute path, or URL.
    audio: str
    # Seconds into the file at which a segment begins; None: the whole file is meant.
    offset: float | None = None
    # Seconds of the segment; None: to the end of the file.
    duration: float | None = None
    # About how long it is.
    expected_seconds: float = dataclasses.field(default=_TYPICAL_SECONDS, compare=False)


def read_inputs(
    inputs: Iterable[str | os.PathLike],
    files: FileAccess,
    *,
    column: str | None = None,
    audio_folder: str | os.PathLike | None = None,
    report: CorpusReport | None = None,
) -> list[Recording]:
    """The recordings that inputs name, each once.

    An input is, by its ending or by what it is: a JSON-lines manifest, `.jsonl` (each line has
    `audio` or `audio_filepath`, and may have `offset` and `duration`); a table, `.tsv` or `.csv`,
    whose first line names its columns; a list, `.txt`, of a path a line; a folder, of which all
    audio files are taken, at any depth; a glob, in which ** is any number of folders; or one audio
    file. Audio files that are not there are found out when they are heard.

    Args:
        inputs: paths, globs or URLs.
        files: has them.
        column: of tables, that holds paths; if not given, `audio`, `path` or `file`.
        audio_folder: where relative paths in manifests, tables and lists begin; if not given, where
            the manifest, table or list lies.
        report: is told of lines that cannot be used; one that stops at the first if not given.

    Raises:
        UserError: an input is not there or cannot be read, or no recording is named by any.
    """
    report = report or CorpusReport()
    found: dict[Recording, None] = {}
    for given in map(str, inputs):
        found |= dict.fromkeys(_read(given, files, column, audio_folder, report))
    if not found:
        raise UserError(f"The inputs name no recording. {report.first()}".rstrip())
    return list(found)


def _read(
    given: str,
    files: FileAccess,
    column: str | None,
    audio_folder: str | os.PathLike | None,
    report: CorpusReport,
) -> Iterator[Recording]:
    ending = PurePath(given).suffix.lower()
    if os.path.isdir(given):
        yield from _matching(os.path.join(glob.escape(given), "**"), files, given)
    elif glob.has_magic(given) and not files.is_file(given):
        yield from _matching(given, files)
    elif ending in (*_MANIFESTS, *_TABLES, _LIST):
        folder = str(audio_folder or os.path.dirname(given))
        for line in _lines(given, ending, files, column, report):
            audio = _absolute(os.path.join(folder, line["audio"]))
            offset, duration = line.get("offset"), line.get("duration")
            yield Recording(
                audio=audio,
                offset=offset,
                duration=None if offset is None else duration,
                expected_seconds=duration or _expected(audio, files.size(audio)),
            )
    elif files.is_file(given):
        yield Recording(
            audio=_absolute(given), expected_seconds=_expected(given, files.size(given))
        )
    else:
        raise UserError(
            f"There is no {given}; name a manifest, a table, a folder, a glob or an audio file."
        )


def _matching(pattern: str, files: FileAccess, folder: str | None = None) -> Iterator[Recording]:
    """What a glob matches; of a folder, its audio files."""
    found = False
    for path, size in files.match(pattern):
        if folder is None or PurePath(path).suffix.lower() in _BYTES_A_SECOND:
            found = True
            yield Recording(audio=_absolute(path), expected_seconds=_expected(path, size))
    if not found:
        what = (
            f"The glob {pattern} matches no file" if folder is None else f"{folder} holds no audio"
        )
        raise UserError(f"{what}; check the path.")


def _lines(
    path: str, ending: str, files: FileAccess, column: str | None, report: CorpusReport
) -> Iterator[dict]:
    """What the lines of a file say: `audio`, and perhaps `offset` and `duration`."""
    content = files.read(path)
    if ending in _MANIFESTS:
        for number, line in numbered_lines(content):
            try:
                yield _with_audio(parse_line(line, path, number, needs_text=False)[0], path, number)
            except UserError as error:
                report.fault(MALFORMED, str(error))
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    if ending == _LIST:
        yield from ({"audio": line.strip()} for line in text.splitlines() if line.strip())
        return
    # No quotes in tables with tabs: Common Voice, for one, has sentences with single ones.
    quoting = csv.QUOTE_NONE if ending == ".tsv" else csv.QUOTE_MINIMAL
    rows = csv.reader(text.splitlines(), delimiter=_TABLES[ending], quoting=quoting)
    place = _place(next(rows, []), path, column)
    for row in rows:
        if row:
            audio = row[place].strip() if place < len(row) else ""
            try:
                yield _with_audio({"audio": audio}, path, rows.line_num)
            except UserError as error:
                report.fault(MALFORMED, str(error))


def _place(header: list[str], path: str, column: str | None) -> int:
    """Which column of a table holds paths."""
    names = [name.strip() for name in header]
    wanted = _COLUMNS if column is None else (column,)
    for name in wanted:
        if name in names:
            return names.index(name)
    asked = " or ".join(map(repr, wanted))
    meant = did_you_mean(column, names) if column else ""
    raise UserError(
        f"The first line of {path} names no column {asked}{meant}; its columns are "
        f"{', '.join(map(repr, names)) or 'none'}."
    )


def _with_audio(line: dict, path: str, number: int) -> dict:
    if not line["audio"]:
        raise UserError(f"Line {number} of {path} names no audio file; write its path.")
    return line


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def _expected(audio: str, size: int | None) -> float:
    if size is None:
        return _TYPICAL_SECONDS
    return size / _BYTES_A_SECOND.get(PurePath(audio).suffix.lower(), 16000)
