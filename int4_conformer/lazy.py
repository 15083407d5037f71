"""Attributes imported on first use, so that the runtime never pays for the trainer's imports."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_exports(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `(__getattr__, __dir__, __all__)` for a package (PEP 562).

    What there is to import stands in the stub beside the package's `__init__.py`, where type
    checkers and editors find it, too. Each of its lines is

        from .module import Name as Name        an attribute of a submodule
        from ..room.module import Name as Name  of a module elsewhere in the package
        from . import module as module          a submodule

    Args:
        package: the package's `__name__`.
        file: the package's `__file__`.
    """
    modules = {
        alias.name: (f"{'.' * statement.level}{statement.module or alias.name}", statement.module)
        for statement in ast.parse(Path(file).with_suffix(".pyi").read_text()).body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, is_attribute = modules[name]
        value = importlib.import_module(module, package)
        if is_attribute:
            value = getattr(value, name)
        # Stored so that the next access is an ordinary attribute, also where the import bound a
        # submodule of the same name over it.
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(modules)
    return getattribute, lambda: names, names
