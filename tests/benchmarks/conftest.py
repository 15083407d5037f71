import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "accuracy"


@pytest.fixture
def programs(monkeypatch):
    """Gives modules of benchmarks/accuracy by their names, which see each other meanwhile."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield lambda *names: {name: importlib.import_module(name) for name in names}
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            sys.modules.pop(name)
