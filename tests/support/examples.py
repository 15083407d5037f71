"""How many examples and cases a property is tried on."""

import os
from typing import Any

import pytest


def examples(few: int) -> int:
    """A few, or with `make test-all` several times as many."""
    return few * int(os.environ.get("EXAMPLES", "1"))


def heavy(*cases: Any) -> list:
    """Cases of a parametrized test that `make test-all` alone runs; a tuple has several values."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.heavy)
        for case in cases
    ]
