import importlib.metadata

import pytest

from int4_conformer.cli import extras

# As setuptools writes them, in either order and with either quotes.
_REQUIREMENTS = [
    "numpy>=1.26",
    'tensorflow==2.16.2; extra == "io"',
    "sounddevice>=0.4.6; extra == 'mic'",
    'python-multipart>=0.0.20; extra == "serve"',
    'tensorflow<2.22,>=2.16; extra == "train"',
    'ml_collections>=1.0; extra == "train"',
    'pytest<9.2,>=8; extra == "dev"',
]


@pytest.fixture(params=[False, True], ids=["as written", "reversed"])
def installed(request, monkeypatch):
    requirements = _REQUIREMENTS[:: -1 if request.param else 1]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)


def test_extras_of_the_metadata(installed):
    found = {extra.name: extra.packages for extra in extras.extras()}
    assert list(found) == ["", "mic", "serve", "train", "io"]
    assert set(found["train"]) == {"tensorflow", "ml_collections"}


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("sounddevice", "pip install 'int4-conformer[mic]'"),
        ("ml_collections", "pip install 'int4-conformer[train]'"),
        ("multipart", "pip install 'int4-conformer[serve]'"),
        # The one that needs an environment of its own has it, too.
        ("tensorflow", "pip install 'int4-conformer[train]'"),
        ("numpy", "pip install int4-conformer"),
    ],
)
def test_what_brings_a_module(installed, module, command):
    assert extras.extra_of(module).command == command


def test_what_nothing_brings(installed):
    assert extras.extra_of("pytest") is None
    assert extras.extra_of("tensorflow.python") is None


def test_what_is_missing(installed, monkeypatch):
    monkeypatch.setattr(extras, "version_of", lambda name: None if name == "numpy" else "1")
    assert [extra.missing for extra in extras.extras()] == [("numpy",), (), (), (), ()]


def test_a_package_that_is_only_on_the_path(monkeypatch):
    monkeypatch.setattr(extras, "DISTRIBUTION", "no-such-distribution")
    assert extras.extras() == []
    assert extras.extra_of("sounddevice") is None
