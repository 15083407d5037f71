import dataclasses
import importlib
import re
import shlex
import subprocess
import sys

import pytest

import int4_conformer
from int4_conformer.cli import app, flag_groups
from int4_conformer.cli import main as main_lib
from int4_conformer.cli.results import Result
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
    for title, group in main_lib.GROUPS.items():
        lines = [f"  {name:{width}}  {summary}" for name, (_, summary) in group.items()]
        assert "\n".join([f"{title}:", *lines, "\n"]) in out
    assert max(map(len, out.splitlines())) <= 100


def test_unknown_command(capsys):
    for name, meant in (
        ("tarin", " (did you mean train?)"),
        ("--versoin", " (did you mean --version?)"),
        ("--why", ""),
    ):
        assert run(name) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        sentence = f"int4-conformer: There is no command {name!r}{meant}; the commands are "
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
    head, examples = out.split("\nexamples:\n")
    examples, *groups = examples.split("\n\n")
    assert len(examples.splitlines()) >= 2
    # Every flag has a paragraph of its own that says what it is.
    titles, flags = zip(*(group.split(":\n", maxsplit=1) for group in groups), strict=True)
    assert {*titles} <= {*flag_groups.ORDER}
    lines = "\n".join(flags).rstrip("\n").split("\n")
    form = r"  --(\[no\])?\w+(\[=FILE\])?: \S|      \S"
    assert all(re.match(form, line) for line in lines), flags
    assert max(map(len, out.splitlines())) <= 100
    flags = "\n".join(lines)
    # Flags that the first line says must be given do say so; of those in parentheses one must be.
    usage = head.splitlines()[0]
    required = re.sub(r"\[.*?\]|\(.*?\)", "", usage)
    assert set(re.findall(r"--(\w+)=", required)) == set(
        re.findall(r"--(\w+):[^-]*?must be given", flags)
    )


@pytest.mark.parametrize("name", main_lib.COMMANDS)
def test_examples_parse(name, monkeypatch):
    command = importlib.import_module(main_lib.COMMANDS[name][0]).COMMAND
    seen = []

    def main(values, arguments):
        seen.append(arguments)
        return Result(text="", facts={})

    monkeypatch.setattr(app.JsonPlace, "show", lambda place, result: None)
    for example in command.examples:
        # What a shell would have done.
        line = re.split(r" [|<>#] ?", f" {example}")[0]
        with pytest.raises(SystemExit) as exit_info:
            app.run(dataclasses.replace(command, main=main), [app.PROGRAM, *shlex.split(line)])
        assert not exit_info.value.code, example
    # A model, a folder or the like comes first wherever the usage says so, or may.
    takes_arguments = re.match(r"\[?[A-Z]", command.usage) is not None
    if not command.usage.startswith("[NAME]"):
        assert all(bool(arguments) == takes_arguments for arguments in seen), seen


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("starlette", "pip install 'int4-conformer[serve]' brings it."),
        ("tensorflow_text.core", None),
        ("tensorflow_text", "pip install 'int4-conformer[train]' brings it."),
        ("tensorflow", "pip install 'int4-conformer[train]' brings it."),
        ("tensorflow_io", "pip install 'int4-conformer[io]' brings it."),
        ("kaldilm", "pip install 'int4-conformer[lm]' brings it."),
        ("soundfile", "pip install int4-conformer brings it."),
        ("a_package_of_others", None),
    ],
)
def test_a_missing_package_is_named(capsys, monkeypatch, module, sentence):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(main_lib.importlib, "import_module", absent)
    if sentence is None:
        with pytest.raises(ModuleNotFoundError):
            main_lib.main(["serve"])
        return
    assert run("serve") == 2
    line = f"int4-conformer: serve needs the package {module}; {sentence}\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "module", ["int4_conformer", "int4_conformer.cli.main", "int4_conformer.cli.inspect"]
)
def test_modules_run_as_programs_without_tensorflow(module, tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    arguments = [path] if module.endswith("inspect") else ["inspect", path]
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
    "arguments",
    ["--help", "train --help", "inspect {file} --quiet", "nosuch 2>&1", "inspect nosuch 2>&1"],
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
