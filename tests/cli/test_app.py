import json
import os
import sys

import pytest
from absl import flags

from int4_conformer import __version__
from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, LEARNED, group
from int4_conformer.cli.results import Result
from int4_conformer.errors import UserError
from int4_conformer.progress import Progress, waiting
from int4_conformer.training.training_config import TrainingConfig


def command(main, define_flags=lambda values: None, required=(), **more):
    return app.Command(
        name="try",
        usage="FILE... [flags]",
        description="Tries things.\n",
        define_flags=define_flags,
        main=main,
        required=required,
        **more,
    )


def define_flags(values):
    with group(values, LEARNED):
        flags.DEFINE_integer("steps", 10, "Steps to take.", lower_bound=1, flag_values=values)
    with group(values, GIVEN):
        flags.DEFINE_string("manifest", None, "What to read.", flag_values=values)
    flags.DEFINE_enum("pass", "first", ["first", "both"], "Passes to take.", flag_values=values)
    flags.DEFINE_boolean("words", False, "Print words.", flag_values=values)
    flags.DEFINE_float("budget", None, "Most bytes.", lower_bound=2.5, flag_values=values)


def run(command, *arguments):
    with pytest.raises(SystemExit) as exit_info:
        app.run(command, [app.PROGRAM, *arguments])
    return exit_info.value.code


def test_flags_may_follow_arguments_and_start_afresh_each_run():
    seen = []

    def main(values, arguments):
        seen.append((values.steps, values.manifest, arguments))

    tried = command(main, define_flags)
    assert not run(tried, "a.wav", "--steps=3", "b.wav", "--manifest", "m", "--", "--c.wav")
    assert not run(tried)
    assert seen == [(3, "m", ["a.wav", "b.wav", "--c.wav"]), (10, None, [])]


def test_flagfile(tmp_path):
    flagfile = tmp_path / "flags"
    flagfile.write_text("# Comment.\n--steps=5\n")
    seen = []
    run(
        command(lambda values, _: seen.append(values.steps), define_flags), f"--flagfile={flagfile}"
    )
    assert seen == [5]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["-help"], ["a", "--steps=none", "--help", "--flag", "b"]]
)
def test_help(capsys, arguments):
    def main(values, arguments):
        raise AssertionError("help runs nothing")

    examples = ("a.wav --manifest=m", "b.wav --manifest=m > list")
    tried = command(main, define_flags, ("manifest",), examples=examples, has_result=True)
    assert run(tried, *arguments) == 0
    assert capsys.readouterr().out == (
        "usage: int4-conformer try FILE... [flags]\n\n"
        "Tries things.\n\n"
        "examples:\n"
        "  int4-conformer try a.wav --manifest=m\n"
        "  int4-conformer try b.wav --manifest=m > list\n\n"
        "what you give:\n"
        "  --manifest: What to read. (must be given)\n\n"
        "what it learns:\n"
        "  --steps: Steps to take. (a positive integer; default: 10)\n\n"
        "advanced:\n"
        "  --pass: Passes to take. (first or both; default: first)\n"
        "  --[no]words: Print words. (default: false)\n"
        "  --budget: Most bytes. (a number >= 2.5)\n\n"
        "as with other commands:\n"
        "  --json[=FILE]: Print the result as JSON and nothing else on stdout, or write it to a "
        "file as well.\n"
        "  --[no]quiet: Print results and errors, nothing else. (default: false)\n"
        "  --flagfile: File of more flags, one a line.\n"
    )


def test_help_of_a_command_without_flags(capsys):
    assert run(command(None), "--help") == 0
    assert "advanced" not in capsys.readouterr().out


def test_version(capsys):
    assert run(command(None, required=("manifest",)), "--version") == 0
    assert capsys.readouterr().out == f"int4-conformer {__version__}\n"


def found(values, arguments):
    """What a command does that has a result."""
    print("a note")
    app.tell("another")
    with waiting("reading"), waiting("looking", file=sys.stderr), Progress(2, "work") as progress:
        progress.line("half of it")
    return Result(text="seven", facts={"count": 7}, next=("int4-conformer more",), status=3)


NOTES = "a note\nreading\nhalf of it\n"
TOLD = "int4-conformer: another\nlooking\n"
NEXT = "next:\n  int4-conformer more\n"


def test_a_result_is_for_people(capsys):
    assert run(command(found, has_result=True)) == 3
    assert capsys.readouterr() == (f"{NOTES}seven\n", f"{TOLD}{NEXT}")


def test_a_result_is_for_programs(capsys):
    assert run(command(found, has_result=True), "--json") == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"count": 7}
    # What was on stdout is not lost.
    assert sorted(captured.err) == sorted(NOTES + TOLD + NEXT)


def test_a_result_is_for_a_file(capsys, tmp_path):
    file = tmp_path / "new" / "facts.json"
    assert run(command(found, has_result=True), f"--json={file}") == 3
    assert json.loads(file.read_text()) == {"count": 7}
    captured = capsys.readouterr()
    assert captured.out.endswith("seven\n")
    assert f"JSON: {file}\n" in captured.err


@pytest.mark.parametrize("flag", ["--quiet", "--quiet=true"])
def test_quiet(capsys, flag):
    assert run(command(found, has_result=True), flag) == 3
    assert capsys.readouterr() == ("seven\n", "")
    assert run(command(found, has_result=True), flag, "--json") == 3
    assert capsys.readouterr() == ('{\n  "count": 7\n}\n', "")
    # Of the next command, it is no longer so.
    run(command(found, has_result=True))
    assert NOTES in capsys.readouterr().out


def test_quiet_of_a_command_that_prints_by_itself(capsys):
    def main(values, arguments):
        print("one")
        app.tell("a note")
        app.complain("There is no file b.")
        raise UserError("There is no more.")

    assert run(command(main), "--quiet") == 2
    assert capsys.readouterr() == (
        "one\n",
        "int4-conformer: There is no file b.\nint4-conformer: There is no more.\n",
    )
    assert run(command(main), "--json") == 2
    assert "try has no flag --json" in capsys.readouterr().err


def test_a_place_for_json_that_there_is_not(capsys, tmp_path):
    def main(values, arguments):
        raise AssertionError("nothing is begun")

    for place in (tmp_path, ""):
        assert run(command(main, has_result=True), f"--json={place}") == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_after_two_dashes_nothing_is_a_flag():
    seen = []
    assert not run(command(lambda _, arguments: seen.append(arguments)), "--", "--help", "-x")
    assert seen == [["--help", "-x"]]


HELP = "`int4-conformer try --help`"
LISTED = f"{HELP} lists its flags."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--stepz=3"],
            f"try has no flag --stepz (did you mean --steps?); {HELP} lists its flags.",
        ),
        (["--json"], f"try has no flag --json; {HELP} lists its flags."),
        (["--zzz"], f"try has no flag --zzz; {HELP} lists its flags."),
        (["--steps=many"], "The flag --steps=many must be a positive integer."),
        (["--steps=0"], "The flag --steps=0 must be a positive integer."),
        (["--steps", "a: b"], "The flag --steps=a: b must be a positive integer."),
        (["--budget=1"], "The flag --budget=1 must be a number >= 2.5."),
        (["--pass=third"], "The flag --pass=third must be first or both."),
        (["--words=maybe"], "The flag --words=maybe must be true or false."),
        (["--nowords=yes"], f"--nowords=yes does not take an argument; {LISTED}"),
        (["--manifest"], "The flag --manifest needs a value; write --manifest=VALUE."),
        ([], f"try needs --manifest and --budget; {HELP} says what to give."),
        (["a.wav", ""], "An argument of try is empty; is a variable of the shell not set?"),
        (["--budget=3", "--manifest="], f"try needs --manifest; {HELP} says what to give."),
        (
            ["--flagfile=absent"],
            "The flagfile absent cannot be read (No such file or directory); check the path.",
        ),
        (["--flagfile=/"], "The flagfile / cannot be read (Is a directory); check the path."),
        (["--flagfile=noise"], "The flagfile holds no text; write one flag a line."),
    ],
    ids=str,
)
def test_refused_flags(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").write_bytes(b"--steps=\xff\n")
    refusing = command(lambda values, _: None, define_flags, required=("manifest", "budget"))
    assert run(refusing, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"int4-conformer: {sentence}\n"


def test_a_users_mistake_is_one_line(capsys):
    def main(values, arguments):
        raise UserError("The manifest a  b\n   is empty; add utterances.")

    assert run(command(main)) == 2
    expected = "int4-conformer: The manifest a  b is empty; add utterances.\n"
    assert capsys.readouterr().err == expected


def test_names_that_are_no_text_are_told(capfdbinary):
    name = os.fsdecode(b"\xff.wav")

    def main(values, arguments):
        print(arguments[0])
        raise UserError(f"There is no file {arguments[0]}.")

    assert run(command(main), name) == 2
    captured = capfdbinary.readouterr()
    assert captured.out == b"\\udcff.wav\n"
    assert captured.err == b"int4-conformer: There is no file \\udcff.wav.\n"


def test_an_interrupt_is_quiet(capsys):
    def main(values, arguments):
        raise KeyboardInterrupt

    assert run(command(main)) == 130
    assert capsys.readouterr().err == ""


def test_a_defect_keeps_its_traceback():
    def main(values, arguments):
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        app.run(command(main), [app.PROGRAM])


def test_flags_of_a_config():
    """Of each type that a field has; the config itself refuses what is none of its choices."""

    def main(values, arguments):
        seen.append(TrainingConfig(**app.given_fields(TrainingConfig, values)))

    seen = []
    tried = command(main, lambda values: app.define_fields(TrainingConfig, values))
    run(tried, "--optimizer=lion", "--steps=7", "--teacher=runs/a", "--noxla")
    expected = TrainingConfig(optimizer="lion", steps=7, teacher="runs/a", xla=False)
    assert seen == [expected]
    run(tried)
    assert seen[1:] == [TrainingConfig()]


def test_a_choice_that_a_config_does_not_have(capsys):
    tried = command(
        lambda values, _: TrainingConfig(**app.given_fields(TrainingConfig, values)),
        lambda values: app.define_fields(TrainingConfig, values),
    )
    assert run(tried, "--schedule=step") == 2
    line = "`schedule` must be one of cosine, linear, constant, transformer, tri_stage. Received: "
    assert line in capsys.readouterr().err
