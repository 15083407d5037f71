"""What `pip install` gives: the wheel in an environment of its own, where it has to hear words.

    make test-wheel

builds the source distribution, and the wheel from it; installs the wheel without extras; and checks
that it knows its version and transcribes, people with the model that comes with it, that no
TensorFlow is there, and how large all of it is.
"""

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "wheel"
TOOLS, ENVIRONMENT = BUILD / "tools", BUILD / "environment"
# The README names it.
MOST_MEGABYTES = 170
_KEPT = ROOT / "tests" / "compatibility" / "v0_1"
# What the model of the package heard of recordings some of which come with it.
_HEARD = ROOT / "benchmarks" / "accuracy" / "results" / "box" / "an4-commands.json"


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    venv.create(TOOLS, with_pip=True)
    venv.create(ENVIRONMENT, with_pip=False)
    pip = [TOOLS / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "install", "build")
    _run(TOOLS / "bin" / "python", "-m", "build", "--outdir", BUILD / "dist", ROOT)
    (source,) = (BUILD / "dist").glob("*.tar.gz")
    (wheel,) = (BUILD / "dist").glob("*.whl")
    python = ENVIRONMENT / "bin" / "python"
    _run(*pip, "--python", python, "install", wheel)
    print(f"{source.name} {source.stat().st_size:,} bytes, {wheel.name} {wheel.stat().st_size:,}")

    program = ENVIRONMENT / "bin" / "int4-conformer"
    version = _run(program, "--version").strip()
    _require(version.split()[-1] in wheel.name, f"--version says {version!r}")
    known = json.loads((_KEPT / "expected.json").read_text())["clips"]
    for clip, found in known.items():
        command = ("transcribe", _KEPT / "cascade.tflite", _KEPT / "clips" / clip, "--json")
        text = json.loads(_run(program, *command))["text"]
        _require(text == found["cascade.tflite"]["text"], f"{clip} is heard as {text!r}")
    sources = "lib/python*/site-packages/int4_conformer/data/sources"
    clips = list(ENVIRONMENT.glob(f"{sources}/recordings_of_people/an4_*.opus"))
    _require(bool(clips), "the wheel holds no recordings of people")
    measured = json.loads(_HEARD.read_text())["utterances"]
    heard = {recording: words for recording, _, words in measured}
    for clip in clips:
        text = json.loads(_run(program, "transcribe", "commands", clip, "--json"))["text"]
        _require(text == heard[clip.stem.split("_")[-1]], f"{clip.name} is heard as {text!r}")
    tried = subprocess.run([python, "-c", "import tensorflow"], check=False, capture_output=True)
    _require(b"ModuleNotFoundError" in tried.stderr, "TensorFlow is installed")

    megabytes = sum(x.stat().st_size for x in ENVIRONMENT.rglob("*") if x.is_file()) / 1e6
    print(f"{version} and what it needs take {megabytes:.0f} MB.")
    _require(megabytes <= MOST_MEGABYTES, f"more than {MOST_MEGABYTES} MB are installed")


def _run(*command: str | Path) -> str:
    # Not from the repository, whose package would be found first.
    result = subprocess.run(command, cwd=BUILD, check=False, capture_output=True, text=True)
    _require(result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stderr}")
    return result.stdout


def _require(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"test-wheel: {what}")


if __name__ == "__main__":
    main()
