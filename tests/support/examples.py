"""How many examples a property is tried on."""

import os


def examples(few: int) -> int:
    """A few, or with `make test-all` several times as many."""
    return few * int(os.environ.get("EXAMPLES", "1"))
