"""Inputs at random: parsers refuse them with a sentence, or take them."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


def fuzzed(folder, *flags):
    """The cells of the last row, by their columns."""
    command = [sys.executable, PROGRAM, f"--keep={folder}", *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line[0] == "|"]
    assert result.returncode == 0, result.stdout + result.stderr
    assert rows[-1][0] == "all"
    cells = [int(cell.replace(",", "")) for cell in rows[-1][1:]]
    return dict(zip(rows[0][1:], cells, strict=True))


def test_some_parsers(tmp_path):
    cells = fuzzed(tmp_path, "--only=manifest,prepared,data_worker", "--inputs=50", "--seed=7")
    assert cells["inputs"] >= 150
    assert cells["fine"] > 0
    assert cells["refused"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
def test_all_parsers(tmp_path):
    assert fuzzed(tmp_path, "--minutes=5", "--seed=8")["inputs"] > 10_000
