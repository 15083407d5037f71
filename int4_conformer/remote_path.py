"""Paths of files in the cloud, such as gs://bucket/run, as `pathlib.Path` has them."""

import contextlib
import errno
import os
import posixpath
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


class RemotePath(os.PathLike):
    """A file or folder that TensorFlow's file systems reach (`tf.io.gfile`).

    Methods and errors are those of `pathlib.Path`, as many as the package needs. TensorFlow is
    imported when a file is touched.

    Args:
        url: such as "gs://bucket/folder".

    Example:

        >>> run = RemotePath("gs://bucket/run/")
        >>> str(run / "checkpoints" / "step-12.index")
        'gs://bucket/run/checkpoints/step-12.index'
        >>> (run / "step-12.index").with_suffix(".json").name
        'step-12.json'
    """

    def __init__(self, url: str):
        self._url = url.rstrip("/")

    def __fspath__(self) -> str:
        return self._url

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"RemotePath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __lt__(self, other: "RemotePath") -> bool:
        return self._url < other._url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self._url}/{name}")

    @property
    def name(self) -> str:
        return posixpath.basename(self._url)

    @property
    def stem(self) -> str:
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "RemotePath":
        return RemotePath(posixpath.dirname(self._url))

    def with_name(self, name: str) -> "RemotePath":
        return self.parent / name

    def with_suffix(self, suffix: str) -> "RemotePath":
        return self.with_name(self.stem + suffix)

    def resolve(self) -> "RemotePath":
        return self

    def exists(self) -> bool:
        with _gfile() as gfile:
            return gfile.exists(self._url)

    def is_dir(self) -> bool:
        with _gfile() as gfile:
            return gfile.isdir(self._url)

    def is_file(self) -> bool:
        return self.exists() and not self.is_dir()

    def stat(self) -> types.SimpleNamespace:
        """Of what `Path.stat` gives, the size."""
        with _gfile() as gfile:
            return types.SimpleNamespace(st_size=gfile.stat(self._url).length)

    @contextlib.contextmanager
    def open(self, mode: str = "r") -> Iterator[IO[Any]]:
        """As of `Path`, as a context manager: TensorFlow raises errors later than Python, when it
        reads or writes."""
        with _gfile() as gfile, gfile.GFile(self._url, mode) as file:
            yield file

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            return file.read()

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """As of `Path`; the folders above are made either way, buckets know none."""
        with _gfile() as gfile:
            if not exist_ok and gfile.exists(self._url):
                raise FileExistsError(errno.EEXIST, "it exists already", self._url)
            gfile.makedirs(self._url)

    def iterdir(self) -> Iterator["RemotePath"]:
        with _gfile() as gfile:
            # Some file systems write a slash behind folders.
            names = [name.rstrip("/") for name in gfile.listdir(self._url)]
        return (self / name for name in names)

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        with _gfile() as gfile:
            found = gfile.glob(f"{self._url}/{pattern}") if gfile.isdir(self._url) else []
        return map(RemotePath, found)

    def replace(self, target: "RemotePath") -> None:
        with _gfile() as gfile:
            gfile.rename(self._url, str(target), overwrite=True)

    def unlink(self) -> None:
        with _gfile() as gfile:
            gfile.remove(self._url)


# A file or folder, wherever it is.
AnyPath = Path | RemotePath


def path_of(path: str | os.PathLike) -> AnyPath:
    """The path as an object: a `RemotePath` of what has a scheme.

    Example:

        >>> path_of("ram://run"), path_of("run").name
        (RemotePath('ram://run'), 'run')
    """
    text = os.fspath(path)
    return RemotePath(text) if is_remote(text) else Path(text)


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path has a scheme, as gs://bucket/run has."""
    return "://" in os.fspath(path)


def remove_tree(path: AnyPath) -> None:
    """Removes a folder and all in it, as far as it is there and can be removed."""
    if isinstance(path, Path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError), _gfile() as gfile:
        gfile.rmtree(str(path))


@contextlib.contextmanager
def _gfile() -> Iterator[Any]:
    """TensorFlow's file functions, with their errors as Python has them."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, _sentence(error)) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, _sentence(error)) from error


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
