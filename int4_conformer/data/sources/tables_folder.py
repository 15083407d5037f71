"""Tables as files or in folders: which there are, and of which split."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.delimited_table import delimited_columns, delimited_entries
from int4_conformer.data.sources.entry import Entry, all_found, require_split, split_in
from int4_conformer.data.sources.parquet_table import parquet_columns, parquet_entries
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

_READERS = {
    ".tsv": (delimited_columns, delimited_entries),
    ".csv": (delimited_columns, delimited_entries),
    ".parquet": (parquet_columns, parquet_entries),
}
# What a folder of Common Voice holds twice: its train, dev and test are parts of these.
_OVERLAPPING = ("validated", "invalidated", "other")
_PLACES = ("*", "data/*", "*/metadata.*")


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in _READERS


def tables_in(root: Path) -> dict[Path, str]:
    """The tables of a folder that have audio and texts, with the split of each.

    Tables lie in the folder or in data/ in it, `train.tsv` or `train-00000-of-00002.parquet`, or
    are called metadata and lie in a folder that is called as the split.
    """
    tables = {}
    for place in _PLACES:
        for path in sorted(root.glob(place)):
            if is_table(path) and path.is_file() and path not in tables:
                name = path.stem
                if name == "metadata":
                    name = "train" if path.parent == root else path.parent.name
                tables[path] = re.sub(r"-\d+-of-\d+$", "", name)
    return tables


def read_tables(
    path: str | os.PathLike, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads a table, TSV, CSV or Parquet, or a folder of them.

    Args:
      path: the file or folder.
      split: keep one split; None keeps all, but of Common Voice's only those that do not overlap.
      report: is told of what cannot be used; one that stops at the first fault if not given.

    Raises:
      UserError: there is no column for audio or for texts, or no such split, or nothing can be
        used; or something cannot, and `report` stops.
    """
    report = report or CorpusReport()
    path = Path(path)
    if path.is_dir():
        entries = _of_folder(path, split, report)
    else:
        entries = _READERS[path.suffix.lower()][1](path, report, split_in(path.stem))
    entries = list(entries)
    if split is not None and entries:
        require_split(split, (entry.split for entry in entries), path)
        entries = [entry for entry in entries if entry.split == split]
    return all_found(entries, report, "the table", f"row of {path}")


def _of_folder(root: Path, split: str | None, report: CorpusReport) -> Iterator[Entry]:
    tables, read = tables_in(root), []
    for path, name in tables.items():
        columns, entries = _READERS[path.suffix.lower()]
        try:
            has_splits = columns(path).split is not None
        except UserError as error:
            # Common Voice has others beside, such as reported.tsv.
            if "has no column" not in str(error) or len(tables) == 1:
                raise
            report.notice("tables without audio and texts, which are not read", str(path))
            continue
        read.append((path, name, has_splits, entries))
    names = {name for _, name, _, _ in read}
    for path, name, has_splits, entries in read:
        overlaps = name in _OVERLAPPING and not names <= set(_OVERLAPPING)
        wanted = not overlaps if split is None else name == split or has_splits
        if wanted:
            yield from entries(path, report, name)
    if split is not None and not any(has for _, _, has, _ in read):
        require_split(split, names, root)
