import importlib
import os
import pty
import shutil
import subprocess

import pytest

from int4_conformer.pretrained.registry import pretrained_models
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
        ("models c", [name for name in pretrained_models() if name.startswith("c")]),
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


def _script(shell, folder):
    """A completion script, in a folder with two files."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    result = commands.run("completion", shell)
    assert result.status == 0, result.err
    (folder / "a b.wav").touch()
    (folder / "phrases.txt").touch()
    file = folder / "script"
    file.write_text(result.out)
    return file


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tra", ["train", "transcribe", "transcribe_many"]),
        ("help insp", ["inspect"]),
        ("completion z", ["zsh"]),
        ("export run --for", ["--format"]),
        ("export run --format s", ["saved_model"]),
        ("export run --nov", ["--noverify"]),
        ("train --steps ", []),
        ("train --phrases ph", ["phrases.txt"]),
        ("transcribe model.tflite a", ["a b.wav"]),
        ("train --zzz", []),
    ],
)
def test_fish(tmp_path, line, words):
    script = _script("fish", tmp_path)
    command = ["fish", "--private", "-c", f"source {script}; complete -C 'int4-conformer {line}'"]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [offer.partition("\t")[0] for offer in result.stdout.splitlines()] == words


# Control-X writes down the line as it stands, in place of running it.
_ZSH = """autoload -U compinit; compinit -u -D; source {script}
written() {{ print -r -- "$BUFFER" > written; exit }}
zle -N written; bindkey '^X' written; print ready
"""


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("insp", "inspect "),
        ("help insp", "help inspect "),
        ("completion z", "completion zsh "),
        ("export run --form", "export run --format="),
        ("export run --format=s", "export run --format=saved_model "),
        ("export run --nover", "export run --noverify "),
        ("train --phrases=ph", "train --phrases=phrases.txt "),
        ("transcribe model.tflite a", "transcribe model.tflite a\\ b.wav "),
        ("train --zzz", "train --zzz"),
    ],
)
def test_zsh(tmp_path, line, completed):
    script = _script("zsh", tmp_path)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execvpe("zsh", ["zsh", "-f", "-i"], os.environ | {"TERM": "dumb"})
    os.write(terminal, _ZSH.format(script=script).encode())
    shown = b""
    while b"\nready" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, f"int4-conformer {line}\t\x18".encode())
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert status == 0
    assert (tmp_path / "written").read_text() == f"int4-conformer {completed}\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell):
    result = commands.run("completion", shell)
    assert result.status == 0, result.err
    for text in ("transcribe_many", "saved_model", "noverify", "steps"):
        assert text in result.out


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
