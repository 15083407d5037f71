"""Writing files, and reading those that a program was killed over."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError


def write_beside(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all: beside it first, then renamed over it.

    Raises:
        UserError: the folder does not exist or cannot be written to, or `path` is a folder.
    """
    require_place(path)
    path = Path(path)
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(f"{path} cannot be written ({error.strerror}); check the path.") from error


def require_place(path: str | os.PathLike) -> None:
    """Checks that a file can lie at `path`, for long work to do before it starts.

    Raises:
        UserError: `path` is a folder, or the folder that should hold it does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the file to write.")
    if not path.parent.is_dir():
        raise UserError(
            f"{path} cannot be written: there is no folder {path.parent}; make it first."
        )


def json_lines(path: str | os.PathLike, most: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file that programs append to; none if it is not there.

    Lines that are no JSON object are passed over: a program that was killed leaves half a line.

    Args:
        path: the file.
        most: of a longer file, about so many lines are read, the last and those at even distances.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except FileNotFoundError:
        return
    distance = 1 if most is None else max(1, -(-len(lines) // most))
    for line in lines[(len(lines) - 1) % distance :: distance]:
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value
