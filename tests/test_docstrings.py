"""The examples in docstrings do what they say, and every public layer has one."""

import doctest
import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import int4_conformer
from int4_conformer import layers, models, quant
from tests.support import tiny

ROOT = Path(int4_conformer.__file__).parent
# Those with examples.
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in sorted(ROOT.rglob("*.py"))
    if re.search(r"^ +>>> ", path.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def names():
    """What an example may use without importing it."""
    public = {
        name: getattr(package, name)
        for package in (int4_conformer, layers, models, quant)
        for name in package.__all__
    }
    model, pcm = tiny.shared_model(), tiny.speech(6)[None]
    return public | {"keras": keras, "np": np, "tf": tf, "model": model, "pcm": pcm}


@pytest.mark.parametrize("module", MODULES)
def test_examples_do_what_they_say(module, names):
    found = doctest.DocTestFinder().find(importlib.import_module(module), extraglobs=names)
    examples = [test for test in found if test.examples]
    assert examples
    for test in examples:
        said = []
        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        assert not said, "".join(said)


@pytest.mark.parametrize("package", [layers, models])
def test_every_public_layer_has_an_example(package):
    public = {name: getattr(package, name) for name in package.__all__}
    without = {
        name
        for name, value in public.items()
        if isinstance(value, type)
        and issubclass(value, keras.layers.Layer)
        and ">>> " not in value.__doc__
    }
    # That is what its kinds have in common.
    assert without <= {"Predictor"}
