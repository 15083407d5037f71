"""Takes a training folder to a phone: one .tflite file that is the whole recogniser.

    python export/to_tflite.py WORKDIR --output=recognizer.tflite

`int4-conformer export` is the same program.
"""

import sys

from int4_conformer.cli import app
from int4_conformer.cli.export import COMMAND

if __name__ == "__main__":
    app.run(COMMAND, [sys.argv[0], "--format=tflite", *sys.argv[1:]])
