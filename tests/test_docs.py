import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TABLES = runpy.run_path(str(DOCS / "tables.py"))


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_tables_of_settings_are_current(path):
    page = path.read_text()
    assert TABLES["updated"](page) == page, "run python docs/tables.py"


def test_every_config_has_its_table():
    pages = "".join(path.read_text() for path in DOCS.glob("*.md"))
    found = re.findall(r"<!-- fields of (\w+) -->.*?<!-- end -->", pages, re.DOTALL)
    assert sorted(found) == sorted(TABLES["CONFIGS"])


def test_a_model_is_fitted_as_the_page_says(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / "training.md").read_text(), re.DOTALL)
    assert len(program.strip().splitlines()) <= 22
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert (tmp_path / "fit.tflite").exists()
