"""Writing files."""

import contextlib
import os
from pathlib import Path

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
