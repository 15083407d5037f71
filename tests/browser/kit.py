"""The modules of `export/browser`."""

import sys
from pathlib import Path

# They find each other in the folder that they are started from.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export" / "browser"))

import make_page
import runtime

FOLDER = Path(make_page.__file__).parent

__all__ = ["FOLDER", "make_page", "runtime"]
