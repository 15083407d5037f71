"""Recognising shards as a transform of Apache Beam."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from int4_conformer.batch.beam_files import BeamFiles
from int4_conformer.batch.job_folder import JobFolder
from int4_conformer.batch.job_summary import JobSummary
from int4_conformer.batch.sharding import Shard
from int4_conformer.batch.transcriber import Transcriber, TranscriberConfig

# Counters that runners show: fields of `JobSummary`.
NAMESPACE = "int4_conformer"
COUNTED = ("recordings", "failed", "odd", "silent", "words")


class TranscribeShards(beam.PTransform):
    """Recognises the recordings of shards, writes their transcripts, and counts.

    From lines of a job's plan to one `JobSummary` of all. A shard whose transcripts are there is
    only counted. Each process of a worker loads the recogniser once.

    Args:
        model: path or URL of the `.tflite` file.
        config: how recordings are heard.
        folder: of the job.
    """

    def __init__(self, model: str, config: TranscriberConfig, folder: JobFolder) -> None:
        super().__init__()
        self._arguments = (model, config, folder)

    def expand(self, lines: beam.PCollection[str]) -> beam.PCollection[JobSummary]:
        return (
            lines
            # A shard is minutes of work: each may go to another worker.
            | "Distribute" >> beam.Reshuffle()
            | "Recognise" >> beam.ParDo(_RecognizeShard(*self._arguments))
            | "Add up" >> beam.CombineGlobally(_sum)
        )


class _RecognizeShard(beam.DoFn):
    def __init__(self, model: str, config: TranscriberConfig, folder: JobFolder) -> None:
        self._model = model
        self._config = config
        self._folder = folder
        self._shared = Shared()
        self._counters = {name: Metrics.counter(NAMESPACE, name) for name in COUNTED}
        self._seconds = Metrics.counter(NAMESPACE, "audio_milliseconds")

    def setup(self) -> None:
        self._transcriber = self._shared.acquire(self._loaded)

    def process(self, line: str) -> Iterator[JobSummary]:
        shard = Shard.from_json(line)
        if self._folder.has(shard):
            rows = self._folder.rows(shard)
        else:
            rows = list(self._transcriber.rows(shard.recordings))
            self._folder.write(shard, rows)
        summary = JobSummary.of(rows)
        for name, counter in self._counters.items():
            counter.inc(getattr(summary, name))
        self._seconds.inc(round(1000 * summary.audio_seconds))
        yield summary

    def _loaded(self) -> Transcriber:
        files = BeamFiles()
        with files.local(self._model) as path:
            return Transcriber(path, self._config, files)


class WriteSummary(beam.PTransform):
    """Writes a job's summary into its folder.

    Args:
        folder: of the job.
    """

    def __init__(self, folder: JobFolder) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, summary: beam.PCollection[JobSummary]) -> beam.PCollection[None]:
        return summary | "Write" >> beam.Map(self._folder.write_summary)


def _sum(summaries: Iterable[JobSummary]) -> JobSummary:
    total = JobSummary()
    for summary in summaries:
        total += summary
    return total
