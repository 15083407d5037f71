"""The folder of a job: what is to be recognised, and what was.

    job.json              model, settings and form of the transcripts: of one folder always the same
    plan.jsonl            the recordings, a shard a line
    shard-000000.jsonl    the transcripts of a shard, written whole or not at all
    summary.json          counts, when all is done

A recording is in one shard of the plan, and the plan only grows: whoever writes a shard, and
however often, writes the same recordings into the same file. Thus each is in the transcripts once,
whenever and wherever a run was killed.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping

from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.batch.file_access import FileAccess
from int4_conformer.batch.job_summary import JobSummary
from int4_conformer.batch.shard_formats import Row, decoded, encoded, require_format
from int4_conformer.batch.sharding import Shard, sharded
from int4_conformer.batch.transcriber import TranscriberConfig
from int4_conformer.errors import UserError

# Seconds of audio in a shard: what is lost at most, for each of the workers, when they are killed.
SHARD_SECONDS = 600.0
# What may differ in job.json.
_OTHER = {
    "model_sha256": "with another model",
    "format": "in another format",
    "config": "with other settings",
}


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """Such a folder; it is small, so that it travels to workers.

    Args:
        path: of the folder, or its URL.
        files: has it.
        format: of the transcripts, "jsonl" or "parquet".
    """

    path: str
    files: FileAccess
    format: str = "jsonl"

    @property
    def plan_path(self) -> str:
        """Of the plan."""
        return self._file("plan.jsonl")

    @property
    def is_new(self) -> bool:
        """Whether no job was begun in it."""
        return not self.files.is_file(self._file("job.json"))

    def begin(self, model: str, config: TranscriberConfig) -> None:
        """Begins the job, or goes on with it.

        Args:
            model: path of the `.tflite` file.
            config: how recordings are heard.

        Raises:
            UserError: the folder is that of another job, or the format cannot be written here.
        """
        require_format(self.format)
        digest = hashlib.sha256(self.files.read(model)).hexdigest()
        job = {"model_sha256": digest, "format": self.format, "config": dataclasses.asdict(config)}
        # As it will be read: without tuples.
        job = json.loads(json.dumps(job))
        path = self._file("job.json")
        if self.is_new:
            self.files.write(path, json.dumps(job, indent=2).encode() + b"\n")
            return
        try:
            before = json.loads(self.files.read(path))
            others = [name for name in job if before[name] != job[name]]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged; choose another folder.") from error
        if others:
            raise UserError(
                f"{self.path} holds transcripts that were begun {_OTHER[others[0]]}; go on as they "
                "were begun, or choose another folder."
            )

    def extend(self, recordings: Iterable[Recording], shard_seconds: float) -> list[Shard]:
        """Adds to the plan those recordings that it does not have, and gives it.

        Args:
            recordings: what is to be recognised.
            shard_seconds: of audio, about, in each further shard.

        Raises:
            UserError: the plan is damaged, or cannot be written.
        """
        plan = self.plan() if self.files.is_file(self.plan_path) else []
        planned = {recording for shard in plan for recording in shard.recordings}
        new = [recording for recording in recordings if recording not in planned]
        if new:
            plan += sharded(new, shard_seconds, first=len(plan))
            lines = "".join(f"{shard.to_json()}\n" for shard in plan)
            self.files.write(self.plan_path, lines.encode())
        return plan

    def plan(self) -> list[Shard]:
        """The shards of the job."""
        try:
            return [Shard.from_json(line) for line in self.files.read(self.plan_path).splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.plan_path} is damaged; choose another folder.") from error

    def known(self, shard: Shard, *, retry_failed: bool = False) -> dict[Recording, Row]:
        """The transcripts of a shard, none if they are not there.

        Args:
            shard: of the plan.
            retry_failed: whether recordings that failed count as not there.

        Raises:
            UserError: the file is damaged.
        """
        path = self._shard(shard)
        if not self.files.is_file(path):
            return {}
        content = self.files.read(path)
        try:
            rows = decoded(content, self.format)
            known = dict(zip(shard.recordings, rows, strict=True))
        # Whatever a library finds wrong with it.
        except Exception as error:
            raise UserError(f"{path} is damaged; remove it, and it is written again.") from error
        return {
            recording: row
            for recording, row in known.items()
            if not (retry_failed and "error" in row)
        }

    def write(self, shard: Shard, known: Mapping[Recording, Row]) -> None:
        """Writes the transcripts of a shard, those of all its recordings."""
        rows = [known[recording] for recording in shard.recordings]
        self.files.write(self._shard(shard), encoded(rows, self.format))

    def write_summary(self, summary: JobSummary) -> None:
        """Writes what became of all."""
        content = json.dumps(summary.as_json(), indent=2)
        self.files.write(self._file("summary.json"), content.encode() + b"\n")

    def summary(self) -> JobSummary:
        """What `write_summary` has written."""
        return JobSummary.from_json(json.loads(self.files.read(self._file("summary.json"))))

    def _shard(self, shard: Shard) -> str:
        return self._file(f"{shard.name}.{self.format}")

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)
