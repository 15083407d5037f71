"""What libraries in C++ write to stderr as they start, which is not for the user."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def held_back() -> Iterator[TextIO]:
    """Holds back what is written to stderr meanwhile; shows it after an error, or if the user has
    asked for it by setting TF_CPP_MIN_LOG_LEVEL to 0.

    Yields:
        what the user sees nevertheless.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield sys.stderr
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with (
        tempfile.TemporaryFile() as written,
        # Names of files may hold bytes that are no text.
        open(stderr, "w", closefd=False, errors="backslashreplace") as seen,
    ):
        os.dup2(written.fileno(), 2)
        try:
            yield seen
        except BaseException:
            os.dup2(stderr, 2)
            written.seek(0)
            os.write(2, written.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
