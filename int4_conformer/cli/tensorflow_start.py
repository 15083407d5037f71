"""Starting TensorFlow: it takes seconds, and says things that are not for the user."""

import os
import sys

from int4_conformer.cli.library_noise import held_back
from int4_conformer.progress import waiting


def start_tensorflow() -> None:
    """Imports TensorFlow and Keras, and says that this is what takes time."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with (
        # Of its own, so that it is not held back.
        os.fdopen(os.dup(2), "w") as stderr,
        waiting("starting TensorFlow", file=stderr),
        held_back(),
    ):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
