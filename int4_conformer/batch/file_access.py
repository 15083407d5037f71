"""How a job reads and writes files: those of this machine, or others through the same methods."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from int4_conformer.errors import UserError
from int4_conformer.files import write_beside


class FileAccess(Protocol):
    """Files by their paths, or URLs."""

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            UserError: it cannot be read.
        """

    def write(self, path: str, content: bytes) -> None:
        """Writes a file whole or not at all, in place of one that is there.

        Raises:
            UserError: it cannot be written.
        """

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""

    def match(self, pattern: str) -> Iterator[tuple[str, int]]:
        """The files that a pattern matches, in which ** is any number of folders, and their sizes
        in bytes."""

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if it is not there, or if it would take long to find out."""

    def local(self, path: str) -> contextlib.AbstractContextManager[str]:
        """Where the file, or a copy, lies on this machine meanwhile.

        Raises:
            UserError: it cannot be copied. What is on this machine is not looked at.
        """


class LocalFiles:
    """Those of this machine."""

    def read(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error

    def write(self, path: str, content: bytes) -> None:
        write_beside(path, content)

    def is_file(self, path: str) -> bool:
        return os.path.isfile(path)

    def match(self, pattern: str) -> Iterator[tuple[str, int]]:
        for path in sorted(glob.iglob(pattern, recursive=True)):
            if os.path.isfile(path):
                yield path, self.size(path) or 0

    def size(self, path: str) -> int | None:
        try:
            return os.stat(path).st_size
        except (OSError, ValueError):
            return None

    def local(self, path: str) -> contextlib.AbstractContextManager[str]:
        return contextlib.nullcontext(path)
