"""Tables of recordings and texts as TSV or CSV files, such as Common Voice's."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.entry import MALFORMED, Entry, split_in
from int4_conformer.data.sources.table_columns import Columns
from int4_conformer.errors import UserError


def delimited_columns(path: Path) -> Columns:
    """The columns of a table.

    Raises:
        UserError: there is none for audio or for texts.
    """
    return _header(path, _rows(path))


def delimited_entries(
    path: Path, report: CorpusReport, split: str | None = None
) -> Iterator[Entry]:
    """The rows of a table.

    TSV files are taken as they are, as Common Voice writes them: quotes are part of a text. In CSV
    files quotes are quotes.

    Args:
        path: the table, `.tsv` or `.csv`. Paths in it are absolute, or relative to its folder or to
            clips/, audio/ or wavs/ in it.
        report: is told of rows that cannot be used.
        split: of rows that do not say theirs; what the name of the file speaks of if not given.

    Raises:
        UserError: there is no column for audio or for texts; or a row cannot be used, and `report`
            stops.
    """
    split = split or split_in(path.stem)
    rows = _rows(path)
    columns = _header(path, rows)
    names = next(_rows(path))[1]
    for number, cells in rows:
        where = f"Line {number} of {path}"
        try:
            if len(cells) != len(names):
                raise UserError(
                    f"{where} has {len(cells)} cells and the first line {len(names)}; mend it."
                )
            row = dict(zip(names, cells, strict=True))
            entry = columns.entry(row, where=where, table=path, split=split)
            if not entry.text.isprintable():
                # Bytes that are no UTF-8 came as lone surrogates, which no text may hold.
                entry.text.encode("utf-8")
        except UnicodeEncodeError:
            report.fault(MALFORMED, f"{where} is not UTF-8 text; save the table as UTF-8.")
        except UserError as error:
            report.fault(MALFORMED, str(error))
        else:
            yield entry


def _header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Columns:
    _, names = next(rows, (1, []))
    try:
        "".join(names).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{path} is not UTF-8 text; save the table as UTF-8.") from None
    return Columns.of(names, path)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not empty, with its number from 1 on."""
    dialect = {"delimiter": ","}
    if path.suffix.lower() == ".tsv":
        dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    # Texts may be longer than what the module takes for a mistake.
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # A NUL byte is no text, and would end the reading.
        reader = csv.reader((line.replace("\0", "\udc00") for line in file), **dialect)
        try:
            for cells in itertools.filterfalse(_is_empty, reader):
                yield reader.line_num, cells
        except csv.Error as error:
            raise UserError(
                f"Line {reader.line_num} of {path} is no line of a table ({error}); mend it."
            ) from error


def _is_empty(cells: list[str]) -> bool:
    return not any(map(str.strip, cells))
