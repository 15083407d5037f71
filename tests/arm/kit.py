"""The modules of `export/arm`."""

import sys
from pathlib import Path

# They find each other in the folder that they are started from.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export" / "arm"))

import arm_root
import both_machines
import compare
import taps

__all__ = ["arm_root", "both_machines", "compare", "taps"]
