"""Starting TensorFlow: it takes seconds, and says things that are not for the user."""

import importlib.metadata
import os
import sys

from int4_conformer.cli.library_noise import held_back
from int4_conformer.progress import waiting


def start_tensorflow() -> None:
    """Imports TensorFlow and Keras, and says that this is what takes time."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if _version().startswith("2.16."):
        # Its oneDNN may never return from a depthwise convolution of 16 taps or more.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with (
        # Of its own, so that it is not held back.
        os.fdopen(os.dup(2), "w") as stderr,
        waiting("starting TensorFlow", file=stderr),
        held_back(),
    ):
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def _version() -> str:
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        # A build by another name, or none.
        return ""
