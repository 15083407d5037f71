"""Attributes imported on first use, so that the runtime never pays for the trainer's imports."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `(__getattr__, __dir__, __all__)` for a package (PEP 562).

    Args:
        package: the package's `__name__`.
        modules: public name -> submodule that defines it, relative to the package. A submodule
            that has the same name as the attribute is itself the attribute.
    """

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        value = module if modules[name] == name else getattr(module, name)
        # Stored so that the next access is an ordinary attribute, also where the import bound a
        # submodule of the same name over it.
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(modules)
    return getattribute, lambda: names, names
