"""The page of licences."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_names_every_package():
    page = (ROOT / "docs" / "licences.md").read_text()
    for requirement in importlib.metadata.requires("int4-conformer"):
        if not re.search(r"extra == .(dev|docs)", requirement):
            name = re.match(r"[\w.-]+", requirement)[0]
            assert re.search(rf"^\| \S+ \| {re.escape(name)} \| \S", page, re.MULTILINE), name


def test_the_base_install_is_free_of_copyleft():
    command = [sys.executable, ROOT / "benchmarks" / "licences.py"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "| base | soxr | LGPL-2.1-or-later | weak copyleft |" in result.stdout
