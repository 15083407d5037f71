"""Writes report.html into a training folder: the run on one page.

Curves, word errors with their alignments, settings and commands, as far as the run has come.
Training writes the page itself at each evaluation and at its end.
"""

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.results import Result
from int4_conformer.errors import UserError
from int4_conformer.progress import waiting
from int4_conformer.remote_path import path_of
from int4_conformer.training.run_report import write_report


def _define_flags(values: flags.FlagValues) -> None:
    """It has none."""


def _report(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"report takes one WORKDIR. Received: {len(arguments)} arguments")
    with waiting("writing the page", at_once=False):
        page = str(write_report(path_of(arguments[0])))
    return Result(text=page, facts={"page": page})


COMMAND = app.Command(
    name="report",
    usage="WORKDIR",
    description=__doc__,
    examples=("run", "gs://bucket/run"),
    define_flags=_define_flags,
    main=_report,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
