"""What docs/site.py makes beside the pages that lie in the repository."""

import json
from pathlib import Path

from docs import site

ROOT = Path(__file__).parents[1]


def test_a_notebook_as_a_page(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Text."]},
        {"cell_type": "code", "source": ["a = 1\n", "print(a)"], "outputs": [{"text": "1"}]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert site.notebook_page(tmp_path / "a.ipynb") == (
        "# Title\n\nText.\n\n```python\na = 1\nprint(a)\n```"
    )


def test_all_notebooks_are_in_the_contents():
    contents = (ROOT / "mkdocs.yml").read_text()
    for notebook in (ROOT / "examples").glob("*.ipynb"):
        assert f"examples/{notebook.stem}.md" in contents
