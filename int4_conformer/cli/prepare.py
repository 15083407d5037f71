"""Prepares a corpus for training: a folder of shards, which training reads as it goes.

CORPUS is whatever train takes as --manifest. Its audio is decoded once, resampled and written to
sharded TFRecord files in --output, beside an index with checksums. The same command goes on where
it was stopped, and checks what is there already. `int4-conformer train --manifest=OUTPUT` then
holds none of the audio in memory.
"""

import os
import shlex
import sys
import time
from pathlib import Path

from absl import flags

from int4_conformer.cli import app, corpora
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, PRINTED, group
from int4_conformer.cli.results import Result
from int4_conformer.cores import available_cores
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.shards.preparation import Preparation
from int4_conformer.data.shards.prepare_config import PrepareConfig
from int4_conformer.errors import UserError
from int4_conformer.progress import Progress, duration, waiting


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, PRINTED):
        flags.DEFINE_string("output", None, "Folder to write.", flag_values=values)
    with group(values, GIVEN):
        flags.DEFINE_string(
            "split",
            None,
            "Its split, or several with commas between them; all if not given.",
            flag_values=values,
        )
    corpora.define_reading(values, "skip")
    with group(values, PRINTED):
        app.define_fields(PrepareConfig, values)
    with group(values, MACHINE):
        flags.DEFINE_integer(
            "processes",
            None,
            "Processes that decode at a time; if not given, as many as there are cores.",
            lower_bound=1,
            flag_values=values,
        )


def _prepare(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"prepare takes one CORPUS. Received: {len(arguments)} arguments")
    (corpus,) = arguments
    config = PrepareConfig(**app.given_fields(PrepareConfig, values))
    report = corpora.new_report(values)
    with waiting("reading the corpus", file=sys.stderr, at_once=False):
        utterances = read_corpus(corpus, values.split, report, allow_commands=values.allow_commands)
        root = corpus if os.path.isdir(corpus) else os.path.dirname(corpus)
        preparation = Preparation(utterances, values.output, config, root)
    begun = time.monotonic()
    with Progress(preparation.total, "prepare") as progress:

        def show(done: int, decoded: int) -> None:
            # What earlier runs have done says nothing of the pace.
            pace = (time.monotonic() - begun) / decoded if decoded else 0.0
            progress.update(done, left=pace * (preparation.total - done))

        try:
            shards = preparation.run(
                report,
                processes=values.processes or available_cores(),
                on_error=values.on_error,
                on_done=show,
            )
        except KeyboardInterrupt:
            progress.line(f"stopped: {preparation.kept}; the same command goes on with the rest")
            raise
    corpora.show(report)
    seconds = sum(shard["seconds"] for shard in shards)
    size = sum(shard["bytes"] for shard in shards)
    count = sum(shard["utterances"] for shard in shards)
    return Result(
        text=f"{Path(values.output)}: {count:,} utterances, {duration(seconds)}, in "
        f"{len(shards):,} shards of {size / 1e6:,.1f} MB together",
        facts={
            "output": values.output,
            "utterances": count,
            "left_out": report.left_out,
            "seconds": seconds,
            "shards": len(shards),
            "bytes": size,
        },
        next=(f"{app.PROGRAM} train --manifest={shlex.quote(values.output)} --workdir=run",),
    )


COMMAND = app.Command(
    name="prepare",
    usage="CORPUS --output=FOLDER [flags]",
    description=__doc__,
    examples=(
        "corpus --output=shards",
        "cv-corpus/cy --split=train,dev --output=shards --on_error=stop",
    ),
    define_flags=_define_flags,
    main=_prepare,
    required=("output",),
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
