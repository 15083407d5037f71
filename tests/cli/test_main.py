import subprocess
import sys

import pytest

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
    for name, (_, summary) in main_lib.COMMANDS.items():
        assert f"  {name:10}  {summary}\n" in out


def test_unknown_command(capsys):
    assert run("tarin") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("int4-conformer: There is no command 'tarin'; the commands are")
    assert captured.err.count("\n") == 1


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


def test_output_may_be_cut_off_by_its_reader(tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    command = f"{sys.executable} -u -m int4_conformer.cli.inspect {path} | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
