"""Recognising many recordings on all cores of this machine."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from int4_conformer.batch.audio_inputs import read_inputs
from int4_conformer.batch.file_access import LocalFiles
from int4_conformer.batch.job_folder import SHARD_SECONDS, JobFolder
from int4_conformer.batch.job_summary import JobSummary
from int4_conformer.batch.shard_formats import Row
from int4_conformer.batch.sharding import Shard
from int4_conformer.batch.transcriber import TranscriberConfig
from int4_conformer.batch.worker_pool import Task, WorkerPool, available_cores
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError, require_at_least, require_positive
from int4_conformer.files import require_folder_place
from int4_conformer.tflite import flatbuffer

# Is told what became of the recordings so far, and how many there are.
OnProgress = Callable[[JobSummary, int], None]


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
    report: CorpusReport | None = None,
    on_progress: OnProgress = lambda summary, total: None,
) -> JobSummary:
    """Recognises many recordings, in as many processes as there are cores.

    Their transcripts are in shards, files of the folder `output`. If it was stopped or killed, the
    same call goes on where it was; with more inputs it recognises those that were not there before.
    A recording that cannot be recognised has a row that says why, and stops nothing.

    Processes are spawned: a program calls this below `if __name__ == "__main__":`.

    Args:
        model: the `.tflite` file.
        inputs: manifests, tables, lists, folders, globs or audio files, as `read_inputs` takes them.
        output: the folder; made if it is not there.
        config: how recordings are heard.
        workers: processes; as many as cores that may be used if not given.
        format: "jsonl", or "parquet", which needs pyarrow.
        column: of tables, that holds paths.
        audio_folder: where relative paths begin.
        shard_seconds: of audio in a shard, about.
        report: is told of lines of the inputs that cannot be used; the first one is an error if not
            given.
        on_progress: is told how far it is, at the start and whenever recordings are done.

    Returns:
        what became of all recordings of the folder, those of earlier calls among them.

    Raises:
        UserError: the model, an input, the folder or a setting is no good, or another call is at
            work in the folder.

    Example:

        >>> import json, pathlib, tempfile, soundfile
        >>> from int4_conformer.batch import transcribe_many
        >>> def example(model, folder):
        ...     summary = transcribe_many(model, [f"{folder}/*.wav"], f"{folder}/transcripts")
        ...     for file in pathlib.Path(folder, "transcripts").glob("shard-*.jsonl"):
        ...         for line in file.read_text().splitlines():
        ...             row = json.loads(line)
        ...             print(row["audio"], row.get("text"), row.get("error"))
        ...     return summary
    """
    config = config or TranscriberConfig()
    workers = available_cores() if workers is None else workers
    require_at_least(1, workers=workers)
    require_positive(shard_seconds=shard_seconds)
    require_folder_place(output)
    model = os.path.abspath(model)
    flatbuffer.read_file(model)
    files = LocalFiles()
    recordings = read_inputs(
        inputs, files, column=column, audio_folder=audio_folder, report=report
    )
    folder = JobFolder(os.path.abspath(output), files, format)
    folder.begin(model, config)
    with _alone(folder):
        plan = folder.extend(recordings, shard_seconds)
        total = sum(len(shard.recordings) for shard in plan)
        summary = JobSummary()
        missing = []
        for shard in plan:
            if folder.has(shard):
                summary += JobSummary.of(folder.rows(shard))
            else:
                missing.append(shard)
        on_progress(summary, total)
        if missing:
            with WorkerPool(min(workers, total), model, config) as pool:
                for rows in _recognized(pool, folder, missing):
                    summary += JobSummary.of(rows)
                    on_progress(summary, total)
        folder.write_summary(summary)
    return summary


def _recognized(
    pool: WorkerPool, folder: JobFolder, shards: Sequence[Shard]
) -> Iterator[list[Row]]:
    """Rows as they come; a shard is written when its last one has."""
    of_recording = {recording: shard for shard in shards for recording in shard.recordings}
    found: dict[Shard, dict] = {}
    for task, rows in pool.results(_tasks(shards)):
        shard = of_recording[task[0]]
        done = found.setdefault(shard, {})
        done |= zip(task, rows, strict=True)
        if len(done) == len(shard.recordings):
            folder.write(shard, [done[recording] for recording in shard.recordings])
            del found[shard]
        yield rows


def _tasks(shards: Iterable[Shard]) -> Iterator[Task]:
    """The recordings of each file, shard by shard."""
    for shard in shards:
        of_file: dict[str, list] = {}
        for recording in shard.recordings:
            of_file.setdefault(recording.audio, []).append(recording)
        yield from map(tuple, of_file.values())


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
