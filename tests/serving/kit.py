"""The programs of `export/tf_serving`, as modules."""

import contextlib
import dataclasses
import io
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "export" / "tf_serving"
# They find each other in the folder that they are started from.
sys.path.insert(0, str(FOLDER))

import command_line  # noqa: E402
import load_client  # noqa: E402
import recognition_client  # noqa: E402
import smoke_test  # noqa: E402
import stream_client  # noqa: E402
import transcribe  # noqa: E402

__all__ = ["load_client", "recognition_client", "smoke_test", "stream_client", "transcribe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a program ended and what it printed."""

    status: int
    out: str
    err: str


def run(program, *arguments):
    """Runs a program's `main` with arguments."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.raises(SystemExit) as exit_info,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        command_line.run(program.main, [str(argument) for argument in arguments])
    return Result(status=exit_info.value.code, out=out.getvalue(), err=err.getvalue())
