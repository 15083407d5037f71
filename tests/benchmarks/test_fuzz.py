"""Inputs at random: parsers refuse them with a sentence, or take them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
# Parsers that should not be.
BAD = """
import os, time
from fuzz_inputs import Mutator

def raised():
    raise KeyError("no sentence")

def memory():
    bytes(1 << 40)

def crashed():
    os.abort()

def hung():
    time.sleep(60)

def target(wrong):
    def act(content):
        if content != b"valid":
            wrong()
    return lambda folder: (Mutator(seeds=[b"valid"]), act)

TARGETS = {wrong.__name__: target(wrong) for wrong in (raised, memory, crashed, hung)}
"""


def fuzzed(folder, *flags, program=FOLDER / "fuzz.py", status=0):
    """The rows of the table, their cells by their columns."""
    command = [sys.executable, program, f"--keep={folder}", *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line[0] == "|"]
    return {
        name: dict(zip(rows[0][1:], (int(cell.replace(",", "")) for cell in cells), strict=True))
        for name, *cells in (rows[0], *rows[2:])
        if name != "parser"
    }


def test_some_parsers(tmp_path):
    flags = ("--only=manifest,prepared,data_worker", "--inputs=50", "--seed=7")
    cells = fuzzed(tmp_path, *flags)["all"]
    assert cells["inputs"] >= 150
    assert cells["fine"] > 0
    assert cells["refused"] > 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_refusal_is_counted_and_kept(tmp_path):
    for name in ("fuzz.py", "fuzz_worker.py", "fuzz_inputs.py"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "fuzz_targets.py").write_text(BAD)
    kept = tmp_path / "kept"
    rows = fuzzed(kept, "--inputs=1", "--patience=1", program=tmp_path / "fuzz.py", status=1)
    for name in ("raised", "memory", "crashed", "hung"):
        assert rows[name][name] >= 1
        assert list(kept.glob(f"{name}-*.input"))
    assert "KeyError: 'no sentence'" in next(kept.glob("raised-*.txt")).read_text()


@pytest.mark.heavy
def test_all_parsers(tmp_path):
    assert fuzzed(tmp_path, "--minutes=5", "--seed=8")["all"]["inputs"] > 10_000
