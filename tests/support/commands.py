"""Running the program's commands inside the tests' process."""

import contextlib
import dataclasses
import io
import os
from unittest import mock

import pytest

from int4_conformer.cli import main


@dataclasses.dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


def run(*arguments, given=None):
    """Runs `int4-conformer ARGUMENTS < GIVEN`."""
    return ended(lambda: main.main([str(argument) for argument in arguments]), given)


def ended(program, given=None):
    """Calls what exits as a program does, `given` at its standard input."""
    out, err = io.StringIO(), io.StringIO()
    with (
        open(given or os.devnull) as stdin,
        mock.patch("sys.stdin", stdin),
        pytest.raises(SystemExit) as exit_info,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        program()
    return Result(exit_info.value.code or 0, out.getvalue(), err.getvalue())


def refusal(*arguments, begun=False):
    """The one line with which a command refuses, with status 2, what the user gave it; one that
    had `begun` may have said what it does."""
    result = run(*arguments)
    assert result.status == 2, result
    assert begun or result.out == ""
    *before, line = result.err.removesuffix("\n").split("\n")
    assert begun or not before, result.err
    return line
