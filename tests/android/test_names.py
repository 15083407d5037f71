"""The Android kit's names and files agree with the package's."""

import ast
import inspect
import itertools
import re
import xml.etree.ElementTree as ElementTree

from int4_conformer import interface
from int4_conformer.lite.endpointing import Endpoint, EndpointConfig
from int4_conformer.tflite import metadata
from tests.android.kotlin_kit import KIT, MAIN

KOTLIN = MAIN / "kotlin" / "org" / "int4conformer"


def constants(path):
    """Text and whole-number constants of a Kotlin file."""
    found = re.findall(r'const val (\w+) = ("[^"]*"|\d+)', path.read_text())
    return {name: ast.literal_eval(value) for name, value in found}


def test_names_are_those_of_the_interface():
    names = constants(KOTLIN / "lite" / "Names.kt")
    assert len(names) == 16
    for name, value in names.items():
        assert getattr(interface, name) == value
    # Each name that a file of this runtime has is there, and each stands in one place.
    for path in KOTLIN.rglob("*.kt"):
        if path.name not in ("Names.kt", "Metadata.kt"):
            literals = set(re.findall(r'"([^"]*)"', path.read_text()))
            assert not literals & set(names.values()), path.name


def test_names_of_the_metadata():
    found = constants(KOTLIN / "lite" / "file" / "Metadata.kt")
    assert (found.pop("NAME"), found.pop("FORMAT")) == (metadata.NAME, metadata.FORMAT)
    fields = set(inspect.signature(metadata.Metadata).parameters)
    spelling = {"pieces", "piece_scores", "marks_first_word"}
    # People alone read the model's configuration, and trainings where its weights are.
    assert set(found.values()) == (fields - {"model", "weights"}) | spelling
    delegates = re.findall(
        r'(?:XNNPACK|NONE)\("(\w+)"\)', (KOTLIN / "lite/file/Metadata.kt").read_text()
    )
    assert tuple(delegates) == metadata.DELEGATES


def test_rules_of_endpoints():
    source = (KOTLIN / "lite" / "Endpointing.kt").read_text()
    assert tuple(re.findall(r'[A-Z_]+\("(\w+)"\)', source)) == Endpoint.__args__
    defaults = [float(x) for x in re.findall(r"val \w+: Double = ([\d.]+)", source)]
    assert defaults == list(vars(EndpointConfig()).values())


def test_resources_are_well_formed_and_complete():
    files = list(MAIN.rglob("*.xml"))
    assert len(files) >= 6
    for path in files:
        ElementTree.parse(path)
    app = "".join(path.read_text() for path in [*KOTLIN.rglob("*.kt"), *files])
    used = set(re.findall(r"(?:R\.string\.|@string/)(\w+)", app))
    strings = ElementTree.parse(MAIN / "res" / "values" / "strings.xml").iter("string")
    assert {node.get("name") for node in strings} == used
    manifest = (MAIN / "AndroidManifest.xml").read_text()
    assert "android.permission.RECORD_AUDIO" in manifest


def test_the_logic_is_free_of_android():
    for path in (KOTLIN / "lite").rglob("*.kt"):
        assert not re.search(r"import (android|com\.google|org\.tensorflow)\b", path.read_text())


def test_names_in_swift():
    source = (KIT.parent / "ios" / "ReferenceClient.swift").read_text()
    asked = set(re.findall(r'(?:named: |ints\(|floats\(|!= |toInputNamed: )"(\w+)"', source))
    passes = set(itertools.chain(*re.findall(r'\("(\w+_pass)", "(\w+)"\)', source)))
    assert asked == {interface.LENGTH, interface.COUNT, interface.TOKENS, interface.ENCODED}
    assert passes == {
        *(interface.FIRST_PASS, interface.PCM),
        *(interface.SECOND_PASS, interface.ENCODED),
    }
    fields = set(re.findall(r"    let (\w+): \w+\n", source.split("struct FlatBuffer")[0]))
    known = set(inspect.signature(metadata.Metadata).parameters)
    assert fields - {"sentence", "format", "pieces"} <= known
    assert f'"{metadata.NAME}"' in source
