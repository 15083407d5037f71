"""Which parts of the tests pass with which Python and TensorFlow.

    python benchmarks/versions.py --pythons=3.10,3.13 --tensorflows=2.16.2,2.21.0 --parts=quant

makes an environment for each pair, one after the other, installs the package with what its tests
need, runs folders of tests in it, and prints a line for each pair: tests passed, failed and skipped
of each part, or why the pair cannot be installed; the names of tests that failed go to the standard
error. `tpu` among the TensorFlows is the extra of that name. `pythonX.Y` have to be on PATH. An
environment is removed when its line is printed.
"""

import collections
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("pythons", ["3.10", "3.11", "3.12", "3.13"], "Versions of Python.")
flags.DEFINE_list("tensorflows", ["2.16.2", "2.19.1", "2.21.0"], "Versions of TensorFlow.")
flags.DEFINE_integer("workers", 2, "Processes that run tests.")
flags.DEFINE_list(
    "parts",
    ["quant", "losses", "decoding", "layers", "models", "tflite", "export", "lite", "text", "data"],
    "Folders of tests.",
)
_ROOT = Path(__file__).parents[1]
_TPU = "tpu"
# The extra `tpu` stands in the place of what `dev` asks for, but for these.
_TEST_PACKAGES = ("pytest<9.2", "pytest-xdist", "hypothesis", "jiwer")
# oneDNN of TensorFlow 2.16 does not return from some convolutions, and TensorFlow for TPUs asks
# Google's cloud about this machine, and waits for minutes (BUILD_NOTES.md).
_SETTINGS = {"2.16": {"TF_ENABLE_ONEDNN_OPTS": "0"}, _TPU: {"TPU_SKIP_MDS_QUERY": "1"}}
# How a test ends that did not pass, in pytest's report.
_ENDS = ("failure", "error", "skipped")


def main(_: list[str]) -> None:
    print(f"| Python | TensorFlow | {' | '.join(FLAGS.parts)} |")
    print(f"|{'---|' * (len(FLAGS.parts) + 2)}")
    for tensorflow in FLAGS.tensorflows:
        for python in FLAGS.pythons:
            cells = " | ".join(_cells(python, tensorflow))
            print(f"| {python} | {tensorflow} | {cells} |", flush=True)


def _cells(python: str, tensorflow: str) -> list[str]:
    """A cell for each part."""
    if shutil.which(f"python{python}") is None:
        return [f"there is no python{python} here"]
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "bin" / "python")
        subprocess.run([f"python{python}", "-m", "venv", folder], check=True)
        pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if tensorflow == _TPU:
            wanted = [*_TEST_PACKAGES, "--editable", f"{_ROOT}[tpu]"]
        else:
            wanted = [f"tensorflow=={tensorflow}", "--editable", f"{_ROOT}[dev]"]
        installed = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
        if installed.returncode:
            errors = [line for line in installed.stderr.splitlines() if line.startswith("ERROR")]
            return [f"cannot be installed: {errors[0] if errors else installed.stderr[-200:]}"]
        settings = _SETTINGS.get(tensorflow.rpartition(".")[0] or tensorflow, {})
        return [_passed(program, part, folder, settings) for part in FLAGS.parts]


def _passed(program: str, part: str, folder: str, settings: dict[str, str]) -> str:
    """How the tests of a part ended."""
    report = Path(folder) / f"{part}.xml"
    environment = os.environ | settings | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [*(program, "-m", "pytest", "-q", "-p", "no:cacheprovider"), f"--junitxml={report}"]
    workers = ["-n", str(FLAGS.workers), "--dist", "loadgroup", "--no-loadscope-reorder"]
    given = [*command, *workers, str(_ROOT / "tests" / part)]
    subprocess.run(given, cwd=_ROOT, env=environment, capture_output=True, check=False)
    if not report.exists():
        return "did not run"
    counts = collections.Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        end = next((child.tag for child in case if child.tag in _ENDS), "passed")
        counts[end] += 1
        if end in ("failure", "error"):
            print(f"{part}: {case.get('classname')}::{case.get('name')}", file=sys.stderr)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


if __name__ == "__main__":
    app.run(main)
