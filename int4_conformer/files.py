"""Writing files, and reading those that a program was killed over."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.remote_path import AnyPath, is_remote, path_of


def write_beside(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all: beside it first, then renamed over it.

    The folder that holds it is made if there is none.

    Raises:
        UserError: the folder cannot be made or written to, or `path` is a folder.
    """
    require_place(path)
    path = path_of(path)
    beside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(f"{path} cannot be written ({error.strerror}); check the path.") from error


def sha256_of(path: str | os.PathLike) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path_of(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_place(path: str | os.PathLike) -> None:
    """Checks that a file can lie at `path`, for long work to do before it starts; makes nothing.

    Raises:
        UserError: `path` is a folder, or the folder that should hold it cannot be made or written
            to.
    """
    if is_remote(path):
        _reached(path)
        return
    path = Path(path)
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; name the file to write.")
    _require_writable_above(path)


def require_folder_place(path: str | os.PathLike) -> None:
    """Checks likewise that a folder is at `path`, or can be made there.

    Raises:
        UserError: `path` is a file, or the folder cannot be made or written to.
    """
    if is_remote(path):
        there = _reached(path)
        if there.is_file():
            raise UserError(f"{path} is a file; name a folder.")
        return
    path = Path(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UserError(f"{path} is a file; name a folder.")
    # What counts is whether files can be written below it.
    _require_writable_above(path / "file")


def require_new_folder(path: str | os.PathLike) -> None:
    """Checks likewise that a folder can be made at `path`, where there is nothing yet.

    Raises:
        UserError: `path` exists, or the folder that should hold it cannot be made or written to.
    """
    path = Path(path)
    if os.path.lexists(path):
        raise UserError(f"{path} exists already; choose another folder or remove it.")
    _require_writable_above(path)


def _reached(path: str | os.PathLike) -> AnyPath:
    """A path in the cloud, whose file system answers; whether it takes a file, only writing tells.

    Raises:
        UserError: it does not answer.
    """
    remote = path_of(path)
    try:
        remote.exists()
    except OSError as error:
        raise UserError(f"{path} cannot be reached ({error.strerror}); check the path.") from error
    return remote


def _require_writable_above(path: Path) -> None:
    # Unlike those of Path, the functions of os.path raise nothing where one may not look.
    nearest = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not os.path.isdir(nearest):
        raise UserError(f"{path} cannot be written: {nearest} is no folder; choose another path.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(
            f"{path} cannot be written: the folder {nearest} may not be written to; choose another."
        )


def write_json_lines(path: str | os.PathLike, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a JSON-lines file whole or not at all, as `write_beside`."""
    write_beside(path, "".join(f"{json.dumps(row)}\n" for row in rows).encode())


def append_json_line(path: str | os.PathLike, row: Mapping[str, Any]) -> None:
    """Adds a line to a JSON-lines file; `json_lines` reads it."""
    with path_of(path).open("a") as file:
        file.write(json.dumps(row) + "\n")


def json_value(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, for whatever reason; `json.loads` has other errors besides.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def json_lines(path: str | os.PathLike, most: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file that programs append to; none if it is not there.

    Lines that are no JSON object are passed over: a program that was killed leaves half a line.

    Args:
        path: the file.
        most: of a longer file, about so many lines are read, the last and those at even distances.
    """
    try:
        lines = path_of(path).read_bytes().splitlines()
    except FileNotFoundError:
        return
    distance = 1 if most is None else max(1, -(-len(lines) // most))
    for line in lines[(len(lines) - 1) % distance :: distance]:
        with contextlib.suppress(ValueError):
            value = json_value(line)
            if isinstance(value, dict):
                yield value
