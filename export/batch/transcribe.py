"""Recognises recordings by an Apache Beam pipeline, on this machine, Dataflow, Flink or Spark.

    python export/batch/transcribe.py MODEL INPUT... --output=FOLDER [flags] [-- BEAM_FLAGS]

It takes what `int4-conformer transcribe_many` takes, which does the same without Beam, and writes
the same folder; MODEL, INPUTs and FOLDER may be URLs such as gs://bucket/folder. What stands behind
-- are flags of Beam. Without any it runs on this machine, in a process for each core.
"""

import logging
import os
import sys

import apache_beam as beam
from absl import flags
from apache_beam.options.pipeline_options import PipelineOptions

from int4_conformer.batch.audio_inputs import read_inputs
from int4_conformer.batch.beam_files import BeamFiles
from int4_conformer.batch.beam_transform import TranscribeShards, WriteSummary
from int4_conformer.batch.job_folder import JobFolder
from int4_conformer.batch.transcriber import Transcriber
from int4_conformer.cli import app
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.transcribe_many import (
    define_flags,
    outcome,
    require_arguments,
    transcriber_config,
)
from int4_conformer.cores import available_cores
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import waiting

# The direct runner may fetch a program, Prism, and then has its own idea of processes.
_LOCAL = (
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=multi_processing",
)


def main(values: flags.FlagValues, arguments: list[str], beam_flags: list[str]) -> None:
    """Plans the job here, and has Beam do it."""
    require_arguments("transcribe.py", arguments)
    model, *inputs = map(_whole, [model_file(arguments[0]), *arguments[1:]])
    config, files, report = transcriber_config(values), BeamFiles(), CorpusReport("skip")
    folder = JobFolder(_whole(values.output), files, values.format)
    with waiting("reading the model and the inputs", file=sys.stderr, at_once=False):
        # What is wrong with the model is said here, and not by a worker.
        with held_back(), files.local(model) as path:
            Transcriber(path, config, files)
        recordings = read_inputs(
            inputs, files, column=values.column, audio_folder=values.audio_folder, report=report
        )
        folder.begin(model, config)
        files.remove_unfinished(folder.path)
        folder.extend(recordings, 60 * values.shard_minutes)
    for line in report.lines():
        app.tell(line)
    if not any(flag.startswith("--runner") for flag in beam_flags):
        beam_flags = [*_LOCAL, f"--direct_num_workers={available_cores()}", *beam_flags]
    with (
        waiting("recognising", interval=30.0, file=sys.stderr),
        beam.Pipeline(options=PipelineOptions(beam_flags)) as pipeline,
    ):
        _ = (
            pipeline
            | "Read the plan" >> beam.io.ReadFromText(folder.plan_path)
            | TranscribeShards(model, config, folder, retry_failed=values.retry_failed)
            | WriteSummary(folder)
        )
    return outcome(folder.summary(), values.output)


def _whole(path: str) -> str:
    """A path as workers know it, whose folder is another."""
    return path if "://" in path else os.path.abspath(path)


def run(argv: list[str]) -> None:
    """Runs the program: its name and arguments."""
    logging.getLogger().setLevel(logging.WARNING)
    own, beam_flags = argv, []
    if "--" in argv:
        place = argv.index("--")
        own, beam_flags = argv[:place], argv[place + 1 :]
    command = app.Command(
        name="transcribe.py",
        usage="MODEL INPUT... --output=FOLDER [flags] [-- BEAM_FLAGS]",
        description=__doc__,
        define_flags=define_flags,
        main=lambda values, arguments: main(values, arguments, beam_flags),
        required=("output",),
        has_result=True,
    )
    app.run(command, own)


if __name__ == "__main__":
    run(sys.argv)
