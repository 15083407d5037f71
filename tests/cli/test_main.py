import re
import subprocess
import sys

import pytest

import int4_conformer
from int4_conformer.cli import main as main_lib
from tests.support import tflite_models


def run(*arguments):
    with pytest.raises(SystemExit) as exit_info:
        main_lib.main(arguments)
    return exit_info.value.code


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(capsys, arguments):
    assert run(*arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: int4-conformer COMMAND [flags]")
    width = max(map(len, main_lib.COMMANDS))
    for name, (_, summary) in main_lib.COMMANDS.items():
        assert f"  {name:{width}}  {summary}\n" in out


def test_unknown_command(capsys):
    for name, meant in (("tarin", " (did you mean train?)"), ("--verbose", "")):
        assert run(name) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        sentence = f"int4-conformer: There is no command {name!r}{meant}; the commands are demo, "
        assert captured.err.startswith(sentence)
        assert captured.err.count("\n") == 1


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"int4-conformer {int4_conformer.__version__}\n"


@pytest.mark.parametrize("name", main_lib.COMMANDS)
def test_every_command_has_help(capsys, name):
    assert run(name, "--help") == 0
    out = capsys.readouterr().out
    assert run("help", name) == 0
    assert capsys.readouterr().out == out
    assert out.startswith(f"usage: int4-conformer {name} ")
    description, flags = out.split("\nflags:\n")
    # Every flag has a paragraph of its own that says what it is.
    lines = flags.splitlines()
    assert all(re.match(r"  --(\[no\])?\w+: \S|      \S", line) for line in lines), flags
    assert max(map(len, out.splitlines())) <= 100
    # Flags that the first line says must be given do say so; of those in parentheses one must be.
    usage = description.splitlines()[0]
    required = re.sub(r"\[.*?\]|\(.*?\)", "", usage)
    assert set(re.findall(r"--(\w+)=", required)) == set(
        re.findall(r"--(\w+):[^-]*?must be given", flags)
    )


def test_a_missing_package_is_named(capsys, monkeypatch, tmp_path):
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_absent\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(main_lib.COMMANDS, "more", ("needs_more", "needs more"))
    assert run("more") == 2
    assert capsys.readouterr().err == (
        "int4-conformer: more needs the package a_package_that_is_absent; "
        "pip install 'int4-conformer[train]' brings it.\n"
    )


@pytest.mark.parametrize("module", ["int4_conformer.cli.main", "int4_conformer.cli.inspect"])
def test_modules_run_as_programs_without_tensorflow(module, tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    arguments = ["inspect", path] if module.endswith("main") else [path]
    # A module set to None cannot be imported.
    code = (
        "import runpy, sys; sys.modules.update(tensorflow=None, keras=None); "
        f"sys.argv = ['int4-conformer', *sys.argv[1:]]; runpy.run_module({module!r}, "
        "run_name='__main__', alter_sys=False)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "2,593 parameters" in result.stdout


@pytest.mark.parametrize(
    "arguments", ["--help", "train --help", "inspect {file}", "nosuch 2>&1", "inspect nosuch 2>&1"]
)
@pytest.mark.parametrize("unbuffered", ["", "-u"])
def test_output_may_be_cut_off_by_its_reader(tmp_path, arguments, unbuffered):
    file = tmp_path / "recognizer.tflite"
    file.write_bytes(tflite_models.recognizer())
    command = (
        f"{sys.executable} {unbuffered} -m int4_conformer.cli.main {arguments.format(file=file)} "
        "| true; echo ${PIPESTATUS[0]}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    # Where the reader took a while to go, everything was written.
    assert int(result.stdout) in (0, 1, 2)


def test_output_that_has_no_place(tmp_path):
    for target, line in [
        ("/dev/full", "int4-conformer: There is no space left to write to; make room.\n"),
        ("&-", ""),
    ]:
        command = f"{sys.executable} -m int4_conformer.cli.main --help >{target}"
        result = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False
        )
        assert result.stderr == line


def test_commands_that_need_no_tensorflow_do_not_load_it():
    code = (
        "import importlib, sys\n"
        "from int4_conformer.cli import main\n"
        "for module, _ in main.COMMANDS.values(): importlib.import_module(module)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
