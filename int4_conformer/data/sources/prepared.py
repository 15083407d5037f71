"""Folders that `int4-conformer prepare` wrote: sharded TFRecord files with an index."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents
from int4_conformer.data.sources.entry import require_split
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.files import json_value
from int4_conformer.remote_path import AnyPath, is_remote, path_of

# The list of shards, which a folder has from its beginning on.
SHARD_LIST = "prepared.json"
LEFT_OUT = "left_out.jsonl"
VERSION = 1
DAMAGED = "shards that are damaged"
# What has to be in the list, in what it says of a shard, and in an index of one.
_MOST = 2**53
_LIST = {"is_complete": bool, "sample_rate": int, "shards": list}
_SHARD = {"file": str, "split": str, "bytes": int, "index_sha256": str}
_UTTERANCE = {"id": str, "text": str, "speaker": str, "start": int, "size": int, "samples": int}


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
        listed = json_value(path.read_bytes())
        version = listed["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy the folder again.") from error
    if version != VERSION:
        raise UserError(
            f"{path} is of version {version}, and this program reads {VERSION}; prepare it again."
        )
    if not (
        _holds(listed, _LIST)
        and listed["sample_rate"] > 0
        and all(_holds(shard, _SHARD) for shard in listed["shards"])
    ):
        raise UserError(f"{path} is damaged; copy the folder again.")
    return listed


def _holds(value: Any, kinds: dict[str, type]) -> bool:
    """Whether a value is an object with fields of these types, numbers as files can have them."""
    return isinstance(value, dict) and all(
        isinstance(value.get(name), kind) and (kind is not int or 0 <= value[name] < _MOST)
        for name, kind in kinds.items()
    )


def _lines(content: bytes, shard_bytes: int) -> list[dict[str, Any]]:
    """What an index says of utterances.

    Raises:
        ValueError: it is no index, or of another shard.
    """
    value = json_value(content)
    lines = value.get("utterances") if isinstance(value, dict) else None
    if not isinstance(lines, list):
        raise ValueError("no utterances")
    for line in lines:
        if not _holds(line, _UTTERANCE) or line["start"] + line["size"] > shard_bytes:
            raise ValueError("an utterance that the shard does not have")
    return lines


def _utterances(
    folder: AnyPath, shard: dict[str, Any], sample_rate: int, report: CorpusReport
) -> Iterator[Utterance]:
    path = folder / shard["file"]
    try:
        index = index_path(path)
        if path.stat().st_size != shard["bytes"]:
            size = path.stat().st_size
            raise UserError(f"{path} has {size:,} bytes, not {shard['bytes']:,}; copy it again.")
        content = index.read_bytes()
        if hashlib.sha256(content).hexdigest() != shard["index_sha256"]:
            raise UserError(f"{index} is not what was written; copy it again.")
        lines = _lines(content, shard["bytes"])
    except OSError as error:
        name = error.filename or path
        report.fault(DAMAGED, f"{name} cannot be read ({error.strerror}); copy it again.")
        return
    except UserError as error:
        report.fault(DAMAGED, str(error))
        return
    except ValueError:
        report.fault(DAMAGED, f"{path} has no index that can be read; copy both again.")
        return
    for line in lines:
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
