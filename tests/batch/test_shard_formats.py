import json

import pytest

from int4_conformer.batch import shard_formats
from int4_conformer.errors import UserError

WORD = {"text": "grün", "start": 0.5, "end": 1.0, "confidence": 0.25}
ROWS = [
    {"audio": "/a.wav", "duration": 1.5, "text": "grün", "confidence": 0.25, "words": [WORD]},
    {"audio": "/b.wav", "offset": 2.0, "duration": 1.0, "text": "", "words": [], "notes": ["odd"]},
    {"audio": "/c.wav", "error": "There is no audio file /c.wav; check the path."},
]


@pytest.mark.parametrize("name", shard_formats.FORMATS)
def test_rows_come_back(name):
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert shard_formats.decoded(shard_formats.encoded(ROWS, name), name) == ROWS


def test_json_lines_are_text():
    content = shard_formats.encoded(ROWS, "jsonl").decode()
    assert [json.loads(line) for line in content.splitlines()] == ROWS
    assert "grün" in content


def test_names_of_any_bytes():
    row = {"audio": "/\udcff.wav", "error": "no"}
    content = shard_formats.encoded([row], "jsonl")
    assert content.decode()
    assert shard_formats.decoded(content, "jsonl") == [row]


def test_parquet_has_names_of_any_bytes_and_one_schema():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    row = {"audio": "/\udcff.wav", "error": "no"}
    (read,) = shard_formats.decoded(shard_formats.encoded([row], "parquet"), "parquet")
    assert read == {"audio": r"/\udcff.wav", "error": "no"}


def test_refusals(monkeypatch):
    with pytest.raises(UserError, match="`format` must be one of jsonl, parquet"):
        shard_formats.require_format("csv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match="Parquet needs the package pyarrow"):
        shard_formats.require_format("parquet")
