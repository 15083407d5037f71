"""Tables as Parquet files, with the audio in them, as Hugging Face has them."""

import dataclasses
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.entry import MALFORMED, Entry, split_in
from int4_conformer.data.sources.table_columns import Columns
from int4_conformer.errors import UserError

if TYPE_CHECKING:
    import pyarrow

# One thread reads a group of rows, and the others have it then.
_READING = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParquetCell(Contents):
    """The bytes in a row of a column: the bytes themselves, or their field `bytes`."""

    path: str
    column: str
    # Rows are read in groups, as the file has them.
    group: int
    # Within its group.
    row: int

    def read(self) -> bytes:
        with _READING:
            cell = _group(self.path, self.group, self.column)[self.row].as_py()
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if not content:
            raise UserError(f"{self.path} has no audio in this row; download it again.")
        return content


def parquet_columns(path: Path) -> Columns:
    """The columns of a table.

    Raises:
        UserError: pyarrow is not installed, the file is no table, or it has no column for audio or
            for texts.
    """
    return Columns.of(_open(str(path)).schema_arrow.names, path)


def parquet_entries(path: Path, report: CorpusReport, split: str | None = None) -> Iterator[Entry]:
    """The rows of a table.

    Args:
        path: the table. Audio is bytes, or a path relative to its folder, or a structure of both as
            Hugging Face has it.
        report: is told of rows that cannot be used.
        split: of rows that do not say theirs; what the name of the file speaks of if not given.

    Raises:
        UserError: as `parquet_columns`; or a row cannot be used, and `report` stops.
    """
    split = split or split_in(path.stem)
    columns = parquet_columns(path)
    # After that, which says what to do where it is not installed.
    import pyarrow

    file = _open(str(path))
    kind = file.schema_arrow.field(columns.audio).type
    held = [name for name in dataclasses.asdict(columns).values() if name is not None]
    has_bytes = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
    if pyarrow.types.is_struct(kind):
        has_bytes = kind.get_field_index("bytes") >= 0
        # The bytes stay where they are until they are asked for.
        held.remove(columns.audio)
        held += [f"{columns.audio}.{field.name}" for field in kind if field.name != "bytes"]
    elif has_bytes:
        held.remove(columns.audio)
    number = 0
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=held).to_pylist()
        for place, row in enumerate(rows):
            number += 1
            where = f"Row {number} of {path}"
            audio = row.get(columns.audio)
            name = audio.get("path") if isinstance(audio, dict) else audio
            contents = None
            if has_bytes:
                contents = ParquetCell(path=str(path), column=columns.audio, group=group, row=place)
            try:
                entry = columns.entry(
                    row | {columns.audio: name},
                    where=where,
                    table=path,
                    split=split,
                    contents=contents,
                )
            except UserError as error:
                report.fault(MALFORMED, str(error))
                continue
            if contents is not None:
                entry = dataclasses.replace(entry, audio=f"{path}#{number}/{name or ''}")
            yield entry


@functools.lru_cache(maxsize=2)
def _group(path: str, group: int, column: str) -> "pyarrow.ChunkedArray":
    return _open(path).read_row_group(group, columns=[column])[column]


def _open(path: str) -> "pyarrow.parquet.ParquetFile":
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} is a Parquet file, which needs the package pyarrow; "
            "pip install 'int4-conformer[parquet]' brings it."
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{path} is no Parquet file ({reason}); download it again.") from error
