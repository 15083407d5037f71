"""LiteRT.js, the runtime that a page needs, from npm: pinned, checked and kept in a folder."""

import base64
import hashlib
import io
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.progress import waiting

VERSION = "2.5.3"
DEFAULT = Path.home() / ".cache" / "int4_conformer" / "litertjs"

# SHA-512 of each package's archive, as npm's registry has it.
_SHA512 = {
    "core": (
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ=="
    ),
    "wasm-utils": (
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ=="
    ),
}
# What a page loads, and what says whose it is. The two builds of the runtime are for browsers with
# and without relaxed SIMD; those with threads and with JSPI are left out.
_FILES = {
    "core": (
        "package.json",
        "dist/index.js",
        *(
            f"wasm/litert_wasm_{build}internal.{kind}"
            for build in ("", "compat_")
            for kind in ("js", "wasm")
        ),
    ),
    "wasm-utils": ("package.json", "dist/index.js"),
}


def is_fetched(folder: Path = DEFAULT) -> bool:
    """Whether `files` would ask no one."""
    return all(_archive(folder, name).exists() for name in _SHA512)


def files(folder: Path = DEFAULT) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The runtime's files: the path of each below that of the runtime, and its content.

    Args:
        folder: keeps the archives.

    Raises:
        UserError: an archive cannot be had, or is not the one that is pinned.
    """
    for name, wanted in _FILES.items():
        with tarfile.open(fileobj=io.BytesIO(_content(folder, name))) as archive:
            for path in wanted:
                yield PurePosixPath(name, path), archive.extractfile(f"package/{path}").read()


def _content(folder: Path, name: str) -> bytes:
    path = _archive(folder, name)
    if path.exists():
        content = path.read_bytes()
        _require_pinned(content, name, f"{path} is not the one that is pinned; remove it")
        return content
    url = f"https://registry.npmjs.org/@litertjs/{name}/-/{name}-{VERSION}.tgz"
    try:
        with (
            waiting(f"fetching {url}"),
            urllib.request.urlopen(url, timeout=60) as answer,
        ):
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} cannot be fetched ({reason}); try again with a network, or put that file into "
            f"{folder}."
        ) from error
    _require_pinned(content, name, f"{url} gave another file than the pinned one; see to that")
    write_beside(path, content)
    return content


def _archive(folder: Path, name: str) -> Path:
    return folder / f"{name}-{VERSION}.tgz"


def _require_pinned(content: bytes, name: str, otherwise: str) -> None:
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != _SHA512[name]:
        raise UserError(f"{otherwise}, and try again.")
