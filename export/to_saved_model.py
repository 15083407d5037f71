"""Takes a training folder to a server: a SavedModel for TensorFlow Serving.

    python export/to_saved_model.py WORKDIR --output=models/recognizer/1

`int4-conformer export --format=saved_model` is the same program.
"""

import sys

from int4_conformer.cli import app
from int4_conformer.cli.export import COMMAND

if __name__ == "__main__":
    app.run(COMMAND, [sys.argv[0], "--format=saved_model", *sys.argv[1:]])
