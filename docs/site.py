"""The pages as a site.

    make docs        # build/site/index.html

copies them as they lie in the repository, since they also link to programs and configs, adds the
notebook as a page and the reference of the public names, made of their docstrings, and has Zensical
make a site of that. A dead link among them ends it.
"""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "int4_conformer"
# As mkdocs.yml has them.
SOURCE, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
# What pages lie in, or link to.
FOLDERS = ("docs", "benchmarks", "configs", "examples", "export")
FILES = ("README.md", "BUILD_NOTES.md", "LICENSE")


def main() -> None:
    shutil.rmtree(SOURCE, ignore_errors=True)
    for folder in FOLDERS:
        unwanted = shutil.ignore_patterns("__pycache__", "build")
        shutil.copytree(ROOT / folder, SOURCE / folder, ignore=unwanted)
    for file in FILES:
        shutil.copy(ROOT / file, SOURCE / file)
    (SOURCE / "docs" / "api.md").write_text(api())
    for notebook in (SOURCE / "examples").glob("*.ipynb"):
        notebook.with_suffix(".md").write_text(notebook_page(notebook))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    # It prints what is wrong; its own stack trace adds nothing.
    ended = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.DEVNULL)
    if ended.returncode:
        sys.exit("The pages have dead links, or their reference cannot be made.")
    print(SITE / "index.html")


def api() -> str:
    """The page of all public names, for mkdocstrings, which reads their docstrings."""
    page = ["# Python names\n"]
    for package, names in public_names():
        page += [f"## {package}\n", *(f"::: {name}\n" for name in names)]
    return "\n".join(page)


def notebook_page(path: Path) -> str:
    """The cells of a notebook as a page, without what they printed."""
    cells = json.loads(path.read_text())["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(
        f"```python\n{text}\n```" if kind == "code" else text for kind, text in texts
    )


def public_names() -> Iterator[tuple[str, list[str]]]:
    """Packages that name what is public, and where each name is defined."""
    for stub in sorted(PACKAGE.glob("**/__init__.pyi")):
        package = stub.parent.relative_to(ROOT).parts
        names = [
            ".".join([*package[: len(package) + 1 - found.level], found.module, alias.name])
            for found in ast.parse(stub.read_text()).body
            # `from . import quant` is a package, which has a section of its own.
            if isinstance(found, ast.ImportFrom) and found.module
            for alias in found.names
        ]
        if names:
            yield ".".join(package), names


if __name__ == "__main__":
    main()
