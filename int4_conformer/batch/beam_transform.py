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
COUNTED = ("recordings", "failed", "odd", "silent", "words", "audio_milliseconds")


class TranscribeShards(beam.PTransform):
    """Recognises the recordings of shards, writes their transcripts, and counts.

    From lines of a job's plan to one `JobSummary` of all. A shard whose transcripts are there is
    only counted. Each process of a worker loads the recogniser once.

    Args:
        model: path or URL of the `.tflite` file.
        config: how recordings are heard.
        folder: of the job.
        retry_failed: whether recordings that failed before are tried again.
    """

    def __init__(
        self,
        model: str,
        config: TranscriberConfig,
        folder: JobFolder,
        *,
        retry_failed: bool = False,
    ) -> None:
        super().__init__()
        self._arguments = (model, config, folder, retry_failed)

    def expand(self, lines: beam.PCollection[str]) -> beam.PCollection[JobSummary]:
        return (
            lines
            # A shard is minutes of work: each may go to another worker.
            | "Distribute" >> beam.Reshuffle()
            | "Recognise" >> beam.ParDo(_RecognizeShard(*self._arguments))
            | "Add up" >> beam.CombineGlobally(_sum)
        )


class _RecognizeShard(beam.DoFn):
    def __init__(
        self, model: str, config: TranscriberConfig, folder: JobFolder, retry_failed: bool
    ) -> None:
        self._model = model
        self._config = config
        self._folder = folder
        self._retry_failed = retry_failed
        self._shared = Shared()
        self._counters = {name: Metrics.counter(NAMESPACE, name) for name in COUNTED}

    def setup(self) -> None:
        self._transcriber = self._shared.acquire(self._loaded)

    def process(self, line: str) -> Iterator[JobSummary]:
        shard = Shard.from_json(line)
        known = self._folder.known(shard, retry_failed=self._retry_failed)
        missing = [recording for recording in shard.recordings if recording not in known]
        if missing:
            known |= zip(missing, self._transcriber.rows(missing), strict=True)
            self._folder.write(shard, known)
        summary = JobSummary.of(known.values())
        for name, counter in self._counters.items():
            counter.inc(getattr(summary, name))
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
