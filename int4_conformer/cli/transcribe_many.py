"""Recognises many audio files on all cores, into a folder of transcripts.

An INPUT is a JSON-lines manifest (.jsonl, with the keys audio or audio_filepath, and perhaps offset
and duration), a table (.tsv or .csv, one of whose columns holds paths), a list (.txt, a path a
line), a folder, a glob in quotes ("calls/**/*.flac") or an audio file.

The folder gets shards, files with an object on each line: audio, duration, text, confidence and
words with their times. A file that cannot be recognised stops nothing: its object has audio and
error, a sentence. summary.json counts them. After a stop or a crash the same command goes on where
it was, and each file is in the transcripts once. With further INPUTs it recognises what is new.

The exit status is 0 when all was done, whatever could not be recognised, and 2 when nothing could.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

from absl import flags

from int4_conformer.audio.samples import MIX
from int4_conformer.batch.job_folder import SHARD_SECONDS
from int4_conformer.batch.job_summary import JobSummary
from int4_conformer.batch.local_run import transcribe_many
from int4_conformer.batch.shard_formats import FORMATS
from int4_conformer.batch.transcriber import TranscriberConfig
from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, PRINTED, SEARCHED, group
from int4_conformer.cli.recognizers import define_beam, define_part_seconds
from int4_conformer.cli.results import Result
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError
from int4_conformer.fields import help_of
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import Progress, waiting
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.search.phrase_automaton import read_phrases

_BEAM_SETTINGS = ("lm_weight", "insertion_bonus")


def define_flags(values: flags.FlagValues) -> None:
    """Defines those that say what is recognised, how, and where it goes."""

    def text(name: str, help_text: str, default: str | None = None) -> None:
        flags.DEFINE_string(name, default, help_text, flag_values=values)

    with group(values, PRINTED):
        text("output", "Folder for the transcripts.")
        flags.DEFINE_enum(
            "format", FORMATS[0], FORMATS, "Format of the transcripts.", flag_values=values
        )
    with group(values, GIVEN):
        text("column", "Column of a table that holds paths; if not given, audio, path or file.")
        text(
            "audio_folder",
            "Where relative paths begin; if not given, where the manifest, table or list lies.",
        )
    flags.DEFINE_float(
        "shard_minutes",
        SHARD_SECONDS / 60,
        "Minutes of audio in a shard, about.",
        lower_bound=0.01,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "retry_failed", False, "Try files that failed before again.", flag_values=values
    )
    text("channel", help_of(TranscriberConfig, "channel"), MIX)
    flags.DEFINE_boolean("gate", True, help_of(TranscriberConfig, "gate"), flag_values=values)
    define_part_seconds(values)
    with group(values, SEARCHED):
        text("phrases", "File of phrases to prefer, one a line.")
        flags.DEFINE_boolean("only", False, help_of(TranscriberConfig, "only"), flag_values=values)
        flags.DEFINE_float(
            "bonus", BIAS_SCORE, help_of(TranscriberConfig, "bonus"), flag_values=values
        )
        define_beam(values)
        app.define_fields(BeamConfig, values, _BEAM_SETTINGS)


def transcriber_config(values: flags.FlagValues) -> TranscriberConfig:
    """What the flags say of how recordings are heard.

    Raises:
        UserError: a flag needs another one, is out of its range, or names a file that cannot be
            read.
    """
    for flag, needed in {"only": "phrases", "bonus": "phrases", "lm_weight": "lm"}.items():
        if values[flag].present and not values[needed].value:
            raise UserError(f"--{flag} needs --{needed}; give that, too.")
    beam = None
    if values.beam is not None or values.lm is not None or values.phrases is not None:
        size = {} if values.beam is None else {"beam_size": values.beam}
        beam = BeamConfig(**size, **app.given_fields(BeamConfig, values, _BEAM_SETTINGS))
    return TranscriberConfig(
        channel=values.channel,
        gate=values.gate,
        part_seconds=values.part_seconds,
        phrases=() if values.phrases is None else tuple(read_phrases(values.phrases)),
        only=values.only,
        bonus=values.bonus,
        beam=beam,
        lm=values.lm,
    )


def require_arguments(name: str, arguments: list[str]) -> None:
    """Refuses arguments that are no model and inputs."""
    if len(arguments) < 2:
        raise UserError(f"{name} takes a MODEL and INPUTs. Received: {len(arguments)} arguments")


def outcome(summary: JobSummary, output: str) -> Result:
    """What became of all; says which could not be recognised. The status is 2 if none could."""
    for sentence in summary.errors:
        app.complain(sentence)
    if summary.failed > len(summary.errors):
        app.complain(f"... and {summary.failed - len(summary.errors):,} more; they have `error`.")
    return Result(
        text=f"{summary}: {output}",
        facts={"output": output} | summary.as_json(),
        status=2 if summary.failed == summary.recordings else 0,
    )


def _define_flags(values: flags.FlagValues) -> None:
    define_flags(values)
    with group(values, MACHINE):
        flags.DEFINE_integer(
            "workers",
            None,
            "Processes; if not given, as many as there are cores.",
            lower_bound=1,
            flag_values=values,
        )


def _transcribe_many(values: flags.FlagValues, arguments: list[str]) -> Result:
    require_arguments("transcribe_many", arguments)
    model, *inputs = arguments
    config = transcriber_config(values)
    report = CorpusReport("skip")
    with contextlib.ExitStack() as stack:
        # Until it is known how many there are.
        reading = stack.enter_context(contextlib.ExitStack())
        reading.enter_context(
            waiting("reading the model and the inputs", file=sys.stderr, at_once=False)
        )
        progress: Progress | None = None
        begun, share_before = 0.0, 0.0

        def show(summary: JobSummary, total: int, share: float) -> None:
            nonlocal progress, begun, share_before
            if progress is None:
                reading.close()
                for line in report.lines():
                    app.tell(line)
                if summary.recordings:
                    app.tell(f"{summary.recordings:,} of {total:,} were done before.")
                progress = Progress(
                    total,
                    "recognising",
                    start=summary.recordings,
                    shown="{:,}".format,
                    file=sys.stderr,
                )
                stack.enter_context(progress)
                begun, share_before = time.monotonic(), share
            # The longest come first, so that the number of files says little about the time left.
            took, heard = time.monotonic() - begun, share - share_before
            left = took / heard * (1 - share) if heard else None
            progress.update(summary.recordings, f"{summary.failed:,} failed", left)

        stack.enter_context(_telling_of_a_stop())
        summary = transcribe_many(
            model_file(model),
            inputs,
            values.output,
            config=config,
            workers=values.workers,
            format=values.format,
            column=values.column,
            audio_folder=values.audio_folder,
            shard_seconds=60 * values.shard_minutes,
            retry_failed=values.retry_failed,
            report=report,
            on_progress=show,
        )
    return outcome(summary, values.output)


@contextlib.contextmanager
def _telling_of_a_stop() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        app.tell("Stopped; the same command goes on where it was.")
        raise


COMMAND = app.Command(
    name="transcribe_many",
    usage="MODEL INPUT... --output=FOLDER [flags]",
    description=__doc__,
    examples=(
        "model.tflite recordings --output=transcripts",
        "model.tflite 'calls/**/*.flac' --output=texts --workers=4",
    ),
    define_flags=_define_flags,
    main=_transcribe_many,
    required=("output",),
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
