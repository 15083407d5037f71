"""The Android kit on the JVM: compiled once, and run on cases that Python writes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

import numpy as np

from int4_conformer.lite import recognizer
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.recognizer_file import RecognizerFile

ROOT = Path(__file__).parents[2]
KIT = ROOT / "export" / "android"
MAIN = KIT / "app" / "src" / "main"
HERE = Path(__file__).parent
# Without optimising what runs for seconds: half the time.
_QUICK = "-XX:TieredStopAtLevel=1 -Xshare:auto"


def sources():
    """The kit, its stubs of Android's and LiteRT's API, and the program that runs cases."""
    folders = (MAIN / "kotlin", HERE / "stubs", HERE / "driver")
    return sorted(
        path
        for folder in folders
        for suffix in ("kt", "java")
        for path in folder.rglob(f"*.{suffix}")
    )


def resources():
    """The names in the app's resources, by kind."""
    found = {"layout": set(), "id": set(), "string": set()}
    for path in (MAIN / "res").glob("values/*.xml"):
        found["string"] |= {node.get("name") for node in ElementTree.parse(path).iter("string")}
    for path in (MAIN / "res" / "layout").glob("*.xml"):
        found["layout"].add(path.stem)
        found["id"] |= set(re.findall(r'"@\+id/(\w+)"', path.read_text()))
    return found


def compiled():
    """A jar of all of it; made anew where a source has changed.

    Raises:
        RuntimeError: the compiler refuses a source.
    """
    kinds = "".join(
        f"object {kind} {{ {'; '.join(f'const val {name} = 0' for name in sorted(names))} }}\n"
        for kind, names in resources().items()
    )
    generated = f"package org.int4conformer.app\n\nobject R {{\n{kinds}}}\n"
    digest = hashlib.sha256(generated.encode())
    for path in sources():
        digest.update(path.read_bytes())
    folder = ROOT / "build" / "android"
    jar = folder / f"{digest.hexdigest()[:16]}.jar"
    if jar.exists():
        return jar
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        (Path(scratch) / "R.kt").write_text(generated)
        made = Path(scratch) / jar.name
        result = subprocess.run(
            ["kotlinc", *map(str, sources()), f"{scratch}/R.kt", "-d", str(made)],
            env=os.environ | {"JAVA_OPTS": _QUICK},
            capture_output=True,
            text=True,
            check=False,
        )
        complaints = re.findall(
            r"^.*\.kt:.*$|^error: .*$|^warning: .*$", result.stderr, re.MULTILINE
        )
        if result.returncode or complaints:
            raise RuntimeError("\n".join(complaints) or result.stderr)
        made.rename(jar)
    return jar


def library():
    """Kotlin's standard library, beside the compiler."""
    home = Path(shutil.which("kotlinc")).resolve().parents[1]
    return home / "lib" / "kotlin-stdlib.jar"


class Case:
    """What the driver is to do, with its arrays in a file of their own."""

    def __init__(self, what, **fields):
        self._values = bytearray()
        self._fields = {"do": what} | fields

    def array(self, values):
        """Adds an array; returns how the case's fields refer to it."""
        values = np.asarray(values)
        kind = "int32" if values.dtype.kind == "i" else "float32"
        place = len(self._values)
        self._values += values.astype(kind).tobytes()
        return {"type": kind, "shape": list(values.shape), "at": place}

    def set(self, **fields):
        """Adds fields."""
        self._fields |= fields

    def write(self, folder):
        """Writes it for the driver."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "case.json").write_text(json.dumps(self._fields))
        (folder / "values.bin").write_bytes(self._values)

    def run(self, jar, folder):
        """Carries it out; returns what the driver found."""
        return run(jar, folder, [self])[0]


def run(jar, folder, cases):
    """Carries out several cases; returns what the driver found of each."""
    folders = [folder / f"case_{number}" for number in range(len(cases))]
    for case, place in zip(cases, folders, strict=True):
        case.write(place)
    classpath = f"{jar}{os.pathsep}{library()}"
    command = ["java", *_QUICK.split(), "-cp", classpath, "DriverKt", *map(str, folders)]
    subprocess.run(command, check=True)
    return [json.loads((place / "result.json").read_text()) for place in folders]


class RecordedRecognizer(Recognizer):
    """Keeps each call of a signature, with what went in and what came out."""

    def __init__(self, path, **settings):
        self.calls = []
        calls = self.calls

        class RecordedFile(RecognizerFile):
            def run(self, signature):
                run = super().run(signature)

                def recorded(**inputs):
                    outputs = run(**inputs)
                    calls.append((signature, inputs, outputs))
                    return outputs

                return recorded

        with mock.patch.object(recognizer, "RecognizerFile", RecordedFile):
            super().__init__(path, **settings)

    def taken(self, case):
        """The calls so far, in a case's terms; the next ones are of another case."""
        calls = self.calls.copy()
        self.calls.clear()
        return [
            {
                "signature": name,
                "inputs": {key: case.array(value) for key, value in inputs.items()},
                "outputs": {key: case.array(value) for key, value in outputs.items()},
            }
            for name, inputs, outputs in calls
        ]
