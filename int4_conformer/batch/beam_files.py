"""Files of the places that Apache Beam knows: gs://, s3://, hdfs:// and this machine."""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import PurePath

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from int4_conformer.batch.file_access import LocalFiles
from int4_conformer.errors import UserError

_UNFINISHED = ".partial"


class BeamFiles(LocalFiles):
    """Those of this machine by their paths, others by their URLs."""

    def read(self, path: str) -> bytes:
        if not _is_url(path):
            return super().read(path)
        with _reading(path), FileSystems.open(path) as file:
            return file.read()

    def write(self, path: str, content: bytes) -> None:
        # Of those who write a file at once, one may be a worker whose job was killed: each writes
        # one of its own, and the last puts the same in its place.
        unfinished = f"{path}.{uuid.uuid4().hex}{_UNFINISHED}"
        try:
            self._make_folder(os.path.dirname(path))
            with FileSystems.create(unfinished) as file:
                file.write(content)
            FileSystems.rename([unfinished], [path])
        except (OSError, ValueError, BeamIOError) as error:
            raise UserError(
                f"{path} cannot be written ({_told(error)}); check the path."
            ) from error

    def is_file(self, path: str) -> bool:
        return FileSystems.exists(path) if _is_url(path) else super().is_file(path)

    def match(self, pattern: str) -> Iterator[tuple[str, int]]:
        if not _is_url(pattern):
            yield from super().match(pattern)
            return
        with _reading(pattern):
            (found,) = FileSystems.match([pattern])
        yield from sorted((each.path, each.size_in_bytes) for each in found.metadata_list)

    def size(self, path: str) -> int | None:
        return None if _is_url(path) else super().size(path)

    @contextlib.contextmanager
    def local(self, path: str) -> Iterator[str]:
        if not _is_url(path):
            yield path
            return
        # Its ending may tell what it is.
        with tempfile.NamedTemporaryFile(suffix=PurePath(path).suffix) as copy:
            with _reading(path), FileSystems.open(path) as file:
                shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy.name

    def remove_unfinished(self, folder: str) -> None:
        """Removes what was being written to a folder when a job was killed."""
        unfinished = [path for path, _ in self.match(os.path.join(folder, f"*{_UNFINISHED}"))]
        if unfinished:
            FileSystems.delete(unfinished)

    @staticmethod
    def _make_folder(folder: str) -> None:
        # Those of buckets are there without being made.
        if not _is_url(folder):
            os.makedirs(folder, exist_ok=True)


def _is_url(path: str) -> bool:
    return "://" in path


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Makes a sentence of what a file system says."""
    try:
        yield
    except (OSError, ValueError, BeamIOError) as error:
        raise UserError(f"{path} cannot be read ({_told(error)}); check the path.") from error


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
