"""What `pip install` gives: the wheel in an environment of its own, where it has to hear words.

    make test-wheel

builds the source distribution, and the wheel from it; installs the wheel without extras; and checks
that it knows its version and transcribes, that no TensorFlow is there, and how large all of it is.
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
