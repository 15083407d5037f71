"""The short form of benchmarks/kill.py: processes of the command line, stopped for good."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "kill.py"


@pytest.mark.heavy
def test_a_training_that_was_killed_ends_with_the_same_numbers():
    # In the start, within a checkpoint, and between two.
    command = [sys.executable, PROGRAM, "--kills=3", "--steps=40", "--signals=SIGKILL"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| SIGKILL")]
    signals, _, _, _, differing = row.strip("| ").split(" | ")[1:]
    assert (signals, differing) == ("3", "0")
