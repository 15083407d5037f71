"""Starting TensorFlow: it takes seconds, and says things that are not for the user."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from int4_conformer.progress import waiting


def start_tensorflow() -> None:
    """Imports TensorFlow and Keras, and says that this is what takes time.

    What their libraries write to stderr as they are loaded is shown only if loading fails, or if
    the user has asked for it by setting TF_CPP_MIN_LOG_LEVEL to 0.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet = os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0"
    with (
        # Of its own, so that it is not held back.
        os.fdopen(os.dup(2), "w") as stderr,
        waiting("starting TensorFlow", file=stderr),
        _held_back() if quiet else contextlib.nullcontext(),
    ):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what is written to stderr, by libraries in C++ too; shows it after an error."""
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
