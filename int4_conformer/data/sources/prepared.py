"""Folders that `int4-conformer prepare` wrote: sharded TFRecord files with an index."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.entry import require_split
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.remote_path import AnyPath, is_remote, path_of

# The list of shards, which a folder has from its beginning on.
SHARD_LIST = "prepared.json"
LEFT_OUT = "left_out.jsonl"
VERSION = 1
DAMAGED = "shards that are damaged"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardAudio(Contents):
    """An audio file within a shard."""

    path: str
    # Where it begins, and how many bytes it has.
    start: int
    size: int
    samples: int
    # Hz.
    sample_rate: int

    def read(self) -> bytes:
        try:
            with path_of(self.path).open("rb") as file:
                file.seek(self.start)
                content = file.read(self.size)
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}).") from error
        if len(content) < self.size:
            raise UserError(f"{self.path} ends within an utterance; copy it again.")
        return content

    def known_length(self, sample_rate: int) -> int | None:
        return self.samples if sample_rate == self.sample_rate else None


def index_path(shard: AnyPath) -> AnyPath:
    """Where the index of a shard lies."""
    return shard.with_suffix(".json")


def read_prepared(
    folder: str | os.PathLike, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads the index of a folder that `int4-conformer prepare` wrote.

    Audio stays in the shards until it is asked for, each utterance at its place; how long it is,
    the index tells.

    Args:
      folder: the folder, on this machine or in the cloud (gs://bucket/shards).
      split: keep one split; None keeps all.
      report: is told of shards that are not as they were written, which are left out; one that
        stops at the first if not given.

    Raises:
      UserError: the folder was not finished, there is no such split, or no shard can be used; or
        one cannot, and `report` stops.
    """
    report = report or CorpusReport()
    folder = path_of(folder) if is_remote(folder) else Path(folder).absolute()
    listed = read_shard_list(folder)
    if not listed["is_complete"]:
        raise UserError(
            f"{folder} is not finished; give the same `int4-conformer prepare` command again, "
            "which goes on with it."
        )
    shards = listed["shards"]
    if split is not None:
        require_split(split, (shard["split"] for shard in shards), folder)
    utterances = [
        utterance
        for shard in shards
        if split in (None, shard["split"])
        for utterance in _utterances(folder, shard, listed["sample_rate"], report)
    ]
    if not utterances:
        raise UserError(f"No shard of {folder} can be used. {report.first()}")
    return utterances


def read_shard_list(folder: AnyPath) -> dict[str, Any]:
    """What a folder says of its shards.

    Raises:
        UserError: it says nothing that can be read, or was written by a later version.
    """
    path = folder / SHARD_LIST
    try:
        listed = json.loads(path.read_bytes())
        version = listed["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy the folder again.") from error
    if version != VERSION:
        raise UserError(
            f"{path} is of version {version}, and this program reads {VERSION}; prepare it again."
        )
    return listed


def _utterances(
    folder: AnyPath, shard: dict[str, Any], sample_rate: int, report: CorpusReport
) -> Iterator[Utterance]:
    path = folder / shard["file"]
    index = index_path(path)
    try:
        if path.stat().st_size != shard["bytes"]:
            size = path.stat().st_size
            raise UserError(f"{path} has {size:,} bytes, not {shard['bytes']:,}; copy it again.")
        content = index.read_bytes()
        if hashlib.sha256(content).hexdigest() != shard["index_sha256"]:
            raise UserError(f"{index} is not what was written; copy it again.")
    except OSError as error:
        name = error.filename or path
        report.fault(DAMAGED, f"{name} cannot be read ({error.strerror}); copy it again.")
        return
    except UserError as error:
        report.fault(DAMAGED, str(error))
        return
    for line in json.loads(content)["utterances"]:
        yield Utterance(
            audio=line["id"],
            text=line["text"],
            duration=line["samples"] / sample_rate,
            contents=ShardAudio(
                path=str(path),
                start=line["start"],
                size=line["size"],
                samples=line["samples"],
                sample_rate=sample_rate,
            ),
            speaker=line["speaker"],
            split=shard["split"],
            origin=shard["file"],
        )
