"""What libraries in C++ write to stderr as they start, which is not for the user."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Holds back what is written to stderr meanwhile; shows it after an error, or if the user has
    asked for it by setting TF_CPP_MIN_LOG_LEVEL to 0."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            written.seek(0)
            os.write(2, written.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
