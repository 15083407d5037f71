"""Recognising many recordings on all cores of this machine."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from int4_conformer.batch.audio_inputs import Recording, read_inputs
from int4_conformer.batch.file_access import LocalFiles
from int4_conformer.batch.job_folder import SHARD_SECONDS, JobFolder
from int4_conformer.batch.job_summary import JobSummary
from int4_conformer.batch.shard_formats import Row, require_format
from int4_conformer.batch.sharding import Shard
from int4_conformer.batch.transcriber import TranscriberConfig
from int4_conformer.batch.worker_pool import Task, WorkerPool
from int4_conformer.cores import available_cores
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError, require_at_least, require_positive
from int4_conformer.files import require_folder_place
from int4_conformer.tflite import flatbuffer

# Is told what became of the recordings so far, how many there are, and which share of their audio,
# in [0, 1], is done.
OnProgress = Callable[[JobSummary, int, float], None]


def transcribe_many(
    model: str | os.PathLike,
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    config: TranscriberConfig | None = None,
    workers: int | None = None,
    format: str = "jsonl",
    column: str | None = None,
    audio_folder: str | os.PathLike | None = None,
    shard_seconds: float = SHARD_SECONDS,
    retry_failed: bool = False,
    report: CorpusReport | None = None,
    on_progress: OnProgress = lambda summary, total, share: None,
) -> JobSummary:
    """Recognises many recordings, in as many processes as there are cores.

    Their transcripts are in shards, files of the folder `output`. If it was stopped or killed, the
    same call goes on where it was; with more inputs it recognises those that were not there before.
    A recording that cannot be recognised has a row that says why, and stops nothing.

    Processes are spawned: a program calls this below `if __name__ == "__main__":`.

    Args:
        model: the `.tflite` file.
        inputs: manifests, tables, lists, folders, globs or audio files, as of `read_inputs`.
        output: the folder; made if it is not there.
        config: how recordings are heard.
        workers: processes; as many as cores that may be used if not given.
        format: "jsonl", or "parquet", which needs pyarrow.
        column: of tables, that holds paths.
        audio_folder: where relative paths begin.
        shard_seconds: of audio in a shard, about.
        retry_failed: whether recordings that failed before are tried again.
        report: is told of lines of the inputs that cannot be used; the first one is an error if not
            given.
        on_progress: is told how far it is, at the start and whenever recordings are done.

    Returns:
        what became of all recordings of the folder, those of earlier calls among them.

    Raises:
        UserError: the model, an input, the folder or a setting is no good, or another call is at
            work in the folder.

    Example:

        if __name__ == "__main__":
            print(transcribe_many("model.tflite", ["calls/**/*.wav"], "transcripts"))
    """
    config = config or TranscriberConfig()
    workers = available_cores() if workers is None else workers
    require_at_least(1, workers=workers)
    require_positive(shard_seconds=shard_seconds)
    require_folder_place(output)
    model = os.path.abspath(model)
    flatbuffer.read_file(model)
    require_format(format)
    files = LocalFiles()
    recordings = read_inputs(inputs, files, column=column, audio_folder=audio_folder, report=report)
    folder = JobFolder(os.path.abspath(output), files, format)
    with WorkerPool(min(workers, len(recordings)), model, config) as pool:
        if folder.is_new:
            # What is wrong with the model or the settings is said before anything is written.
            pool.start()
        folder.begin(model, config)
        with _alone(folder):
            run = _Run(folder, folder.extend(recordings, shard_seconds), on_progress, retry_failed)
            if run.missing:
                run.recognize(pool)
            folder.write_summary(run.summary)
    return run.summary


class _Run:
    """What a run has before it, and what has become of it."""

    def __init__(
        self,
        folder: JobFolder,
        plan: Sequence[Shard],
        on_progress: OnProgress,
        retry_failed: bool,
    ) -> None:
        self._folder = folder
        self._on_progress = on_progress
        self._total = sum(len(shard.recordings) for shard in plan)
        self._seconds = _seconds(recording for shard in plan for recording in shard.recordings)
        self.summary = JobSummary()
        # The shard of each recording that is to be recognised.
        self.missing: dict[Recording, Shard] = {}
        # Transcripts of shards that are not whole, by their numbers.
        self._known: dict[int, dict[Recording, Row]] = {}
        for shard in plan:
            known = folder.known(shard, retry_failed=retry_failed)
            self.summary += JobSummary.of(known.values())
            if len(known) < len(shard.recordings):
                self._known[shard.number] = known
                self.missing |= {x: shard for x in shard.recordings if x not in known}
        self._left = _seconds(self.missing)
        self._tell()

    def recognize(self, pool: WorkerPool) -> None:
        """Has all of it recognised; a shard is written when its last recording is."""
        for task, rows in pool.results(self._tasks()):
            shard = self.missing[task[0]]
            known = self._known[shard.number]
            known |= zip(task, rows, strict=True)
            if len(known) == len(shard.recordings):
                self._folder.write(shard, known)
                del self._known[shard.number]
            self.summary += JobSummary.of(rows)
            self._left -= _seconds(task)
            self._tell()

    def _tasks(self) -> Iterator[Task]:
        """The recordings of each file, shard by shard."""
        for _, of_shard in itertools.groupby(self.missing, self.missing.get):
            for _, of_file in itertools.groupby(of_shard, lambda recording: recording.audio):
                yield tuple(of_file)

    def _tell(self) -> None:
        share = 1 - self._left / self._seconds if self._seconds else 1.0
        self._on_progress(self.summary, self._total, share)


def _seconds(recordings: Iterable[Recording]) -> float:
    return sum(recording.expected_seconds for recording in recordings)


@contextlib.contextmanager
def _alone(folder: JobFolder) -> Iterator[None]:
    """Refuses a second run in the folder, where the system can tell."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    with open(os.path.join(folder.path, "job.json"), "rb") as job:
        try:
            # Given up with the process, however that ends.
            fcntl.flock(job, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"Another run is at work in {folder.path}; wait for it, or choose another folder."
            ) from error
        yield
