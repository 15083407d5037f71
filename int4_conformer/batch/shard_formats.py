"""The forms in which transcripts are written: JSON lines, or Parquet."""

import io
import json
from collections.abc import Sequence
from typing import Any

from int4_conformer.errors import UserError, require_one_of

FORMATS = ("jsonl", "parquet")

# What is known of a recording.
Row = dict[str, Any]


def require_format(name: str) -> None:
    """Refuses a format that there is not, or that cannot be written here."""
    require_one_of(FORMATS, format=name)
    if name == "parquet":
        _parquet()


def encoded(rows: Sequence[Row], name: str) -> bytes:
    """Rows as the content of a file."""
    if name == "jsonl":
        return b"".join(map(_line, rows))
    pyarrow, parquet = _parquet()
    # Columns hold text, which names of files need not be.
    rows = [row | {"audio": _text(row["audio"])} for row in rows]
    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=_schema(pyarrow)), written)
    return written.getvalue()


def decoded(content: bytes, name: str) -> list[Row]:
    """The rows of such a file, but for what is not said of them."""
    if name == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    _, parquet = _parquet()
    rows = parquet.read_table(io.BytesIO(content)).to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _line(row: Row) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # Names of files may hold bytes that are no text.
        return json.dumps(row).encode() + b"\n"


def _text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _schema(pyarrow: Any) -> Any:
    text, number = pyarrow.string(), pyarrow.float64()
    word = {"text": text, "start": number, "end": number, "confidence": number}
    return pyarrow.schema(
        {
            "audio": text,
            "offset": number,
            "duration": number,
            "text": text,
            "confidence": number,
            "words": pyarrow.list_(pyarrow.struct(word)),
            "notes": pyarrow.list_(text),
            "error": text,
        }.items()
    )


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UserError(
            "Parquet needs the package pyarrow; install it, or write JSON lines (jsonl)."
        ) from error
    return pyarrow, parquet
