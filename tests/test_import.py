import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import int4_conformer

RUNTIME = [
    "import int4_conformer",
    "import int4_conformer.lite",
    "import int4_conformer.quant.numerics.pack",
    "from int4_conformer import Recognizer, Vocabulary, UserError, inspect_tflite",
    "from int4_conformer.tflite import Inspection, Metadata, inspect_tflite",
    "import int4_conformer.cli.inspect, int4_conformer.cli.transcribe, int4_conformer.cli.main",
    "import int4_conformer.cli.serve, int4_conformer.cli.models",
    "from int4_conformer.batch import transcribe_many; import int4_conformer.cli.transcribe_many",
]


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("statement", RUNTIME)
def test_the_runtime_loads_no_tensorflow(statement):
    loaded = run(f"{statement}\nimport sys; print(*sys.modules)").split()
    assert not {"tensorflow", "keras", "tensorflow_text"} & set(loaded)


def test_the_recogniser_loads_audio_libraries_only_to_resample():
    loaded = run("from int4_conformer import Recognizer\nimport sys; print(*sys.modules)").split()
    assert "ai_edge_litert" in loaded
    assert not {"soxr", "soundfile"} & set(loaded)


def test_the_runtime_is_imported_within_half_a_second():
    statement = "from int4_conformer import Recognizer, inspect_tflite"
    timed = (
        f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    )
    # The least of three: the first may write byte code.
    assert min(float(run(timed)) for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", int4_conformer.__all__)
def test_every_public_name_resolves(name):
    assert getattr(int4_conformer, name) is not None
    assert name in dir(int4_conformer)


def test_no_public_name_is_that_of_a_module():
    # It would be the one or the other, by what was imported before.
    for stub in Path(int4_conformer.__file__).parent.rglob("__init__.pyi"):
        names = set(re.findall(r"^from \.\S+ import (\w+)", stub.read_text(), re.MULTILINE))
        assert not names & {path.stem for path in stub.parent.iterdir()}, stub.parent.name


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'recogniser'"):
        int4_conformer.recogniser  # noqa: B018


def test_the_version_is_the_installed_one():
    assert int4_conformer.__version__ == importlib.metadata.version("int4-conformer")
