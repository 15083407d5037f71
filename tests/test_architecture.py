"""The house as docs/architecture.md describes it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "int4_conformer"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up: a room may import from its own floor and from those before it.
FLOORS = [
    {"cores", "errors", "fields", "interface", "lazy", "remote_path", "shapes", "tables", "xla"},
    {"files", "processes", "progress"},
    {"pretrained"},
    {"quant.spec"},
    {"quant.folding_barrier"},
    {"quant.context"},
    {"quant.numerics"},
    {"quant.products"},
    {"quant.stored_weight"},
    {"quant.deploy"},
    {"text"},
    {"search", "tflite"},
    {"layers", "losses"},
    {"audio", "decoding"},
    {"lite"},
    {"data"},
    {"batch"},
    {"models"},
    {"evaluation"},
    {"export", "quantize"},
    {"mixed_precision", "training", "steppable_contract"},
    {"server"},
    {"cli", "__main__"},
]


def room(module):
    """The room of a dotted name below the package: "quant.spec" of "quant.spec.recipe"."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "quant" else parts[0]


def floor(module):
    (number,) = (n for n, rooms in enumerate(FLOORS) if room(module) in rooms)
    return number


def imports(path):
    """Modules of the package that a file imports, also inside functions, dotted below it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("int4_conformer"):
            base = node.module.removeprefix("int4_conformer").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                is_module = (PACKAGE / name.replace(".", "/")).with_suffix(".py").exists()
                yield name if is_module or not base else base


def dotted(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name != "__init__.py"], ids=dotted
)
def test_imports_point_down(path):
    for imported in imports(path):
        if imported in ("__version__", "layers"):
            continue
        assert floor(imported) <= floor(dotted(path)), f"{dotted(path)} imports {imported}"


def test_files_that_the_page_names_exist():
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w/]+\.py)`", page))
    assert len(named) > 30
    missing = [n for n in named if not ((PACKAGE / n).exists() or (ROOT / n).exists())]
    assert not missing


def sources(pattern, besides):
    """Modules in which a pattern occurs, but for those below some paths."""
    return [
        dotted(path)
        for path in MODULES
        if re.search(pattern, path.read_text()) and not dotted(path).startswith(besides)
    ]


def test_only_quant_makes_integers_of_floats():
    assert not sources(r"tf\.round\(|tf\.int8\b|tf\.clip_by_value\(tf\.round", ("quant.",))


def test_private_names_of_keras_stand_in_one_place():
    private = r"\._(flatten_layers|trainable_variables|non_trainable_variables|layers)\b"
    assert not sources(private, ("layers.keras_internals",))


def test_files_hold_one_concept():
    longest = {dotted(path): len(path.read_text().splitlines()) for path in MODULES}
    assert max(longest.values()) <= 420, max(longest, key=longest.get)


def test_a_name_says_what_a_module_is():
    # Commands are named as people type them, and package files have to be called so.
    names = [path.name for path in MODULES if path.parent.name != "cli" and "__" not in path.name]
    assert not {name for name in names if names.count(name) > 1}
