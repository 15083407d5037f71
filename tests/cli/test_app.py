import pytest
from absl import flags

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.training.training_config import TrainingConfig


def command(main, define_flags=lambda values: None):
    return app.Command(
        name="try",
        usage="FILE... [flags]",
        description="Tries things.\n",
        define_flags=define_flags,
        main=main,
    )


def define_flags(values):
    flags.DEFINE_integer("steps", 10, "Steps to take.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("manifest", None, "What to read.", flag_values=values)


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


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(capsys, flag):
    def main(values, arguments):
        raise AssertionError("help runs nothing")

    assert run(command(main, define_flags), flag) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: int4-conformer try FILE... [flags]\n\nTries things.\n")
    assert "--steps: Steps to take.\n    (default: '10')" in out
    assert "--flagfile" in out
    assert "test_app" not in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stepz=3"], "Unknown command line flag 'stepz'. Did you mean: steps ?"),
        (["--steps=many"], "flag --steps=many: invalid literal"),
        (["--steps=0"], "flag --steps=0: 0 is not a positive integer"),
        (["--flagfile=absent"], "Unable to open flagfile"),
    ],
)
def test_refused_flags(capsys, arguments, line):
    assert run(command(lambda values, _: None, define_flags), *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("int4-conformer: ")
    assert captured.err.count("\n") == 1
    assert line in captured.err


def test_a_users_mistake_is_one_line(capsys):
    def main(values, arguments):
        raise UserError("The manifest m\nis empty; add utterances.")

    assert run(command(main)) == 2
    expected = "int4-conformer: The manifest m is empty; add utterances.\n"
    assert capsys.readouterr().err == expected


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
