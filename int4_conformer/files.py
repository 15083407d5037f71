"""Writing files."""

import os
from pathlib import Path

from int4_conformer.errors import UserError


def write_beside(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file whole or not at all: beside it first, then renamed over it.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    path = Path(path)
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); check the path.") from error
