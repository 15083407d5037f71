import importlib
import re
import shutil
import subprocess

import pytest

from tests.support import commands

# Runs the function that the script has defined as bash would for what is typed.
_TRY = """
source "$1"
COMP_WORDBREAKS="$3"
COMP_LINE="$2"
COMP_POINT=${#2}
_int4_conformer 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    result = commands.run("completion", "bash")
    assert result.status == 0, result.err
    file = tmp_path_factory.mktemp("completion") / "script"
    file.write_text(result.out)
    return file


@pytest.fixture
def completed(script, tmp_path):
    """What bash completes, in a folder with two files."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    (tmp_path / "a b.wav").touch()
    (tmp_path / "phrases.txt").touch()

    def complete(line, breaks=" ="):
        command = ["bash", "-c", _TRY, "bash", script, f"int4-conformer {line}", breaks]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    return complete


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tra", ["transcribe", "transcribe_many", "train"]),
        ("--v", ["--version"]),
        ("help insp", ["inspect"]),
        ("completion z", ["zsh"]),
        ("export run --for", ["--format="]),
        ("export run --format=", ["tflite", "saved_model"]),
        ("export run --format=s", ["saved_model"]),
        ("export run --nov", ["--noverify"]),
        ("inspect m.tflite --js", ["--json"]),
        # A number is nobody's to guess.
        ("train --steps=", [""]),
        ("train --phrases=ph", ["phrases.txt"]),
        ("transcribe model.tflite a", ["a b.wav"]),
        ("train --zzz", [""]),
    ],
)
def test_bash(completed, line, words):
    assert completed(line) == words


def test_values_stand_with_their_flag_where_the_shell_keeps_them_together(completed):
    assert completed("export run --format=s", breaks=" ") == ["--format=saved_model"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell, tmp_path):
    result = commands.run("completion", shell)
    assert result.status == 0, result.err
    for text in ("transcribe_many", "saved_model", "noverify", "steps"):
        assert text in result.out
    file = tmp_path / "script"
    file.write_text(result.out)
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", file], check=True)
    if shell == "zsh":
        # It is bash's, too, but for the names of what completes.
        subprocess.run(["bash", "-n", file], check=True)
    else:
        # All quotes are closed; fish has escapes within them.
        assert "'" not in re.sub(r"'(\\.|[^'\\])*'", "", result.out)


def test_a_command_whose_package_is_missing_has_its_name_alone(monkeypatch):
    import_module = importlib.import_module

    def without_starlette(name):
        if name == "int4_conformer.cli.serve":
            raise ModuleNotFoundError("No module named 'starlette'", name="starlette")
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", without_starlette)
    lines = commands.run("completion", "fish").out.splitlines()
    name = "complete -c int4-conformer -f -n __fish_use_subcommand -a serve "
    assert any(line.startswith(name) for line in lines)
    assert not any("__fish_seen_subcommand_from serve'" in line for line in lines)


def test_what_is_refused():
    line = commands.refusal("completion", "fsh")
    assert "There is no completion for 'fsh' (did you mean fish?)" in line
    assert "completion takes one SHELL: bash, zsh, fish. Received: 0 arg" in commands.refusal(
        "completion"
    )
