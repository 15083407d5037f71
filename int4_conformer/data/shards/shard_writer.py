"""Writing one shard, whole or not at all, with its index."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport, Finding, OnError
from int4_conformer.data.recordings import located, pcm16
from int4_conformer.data.shards.example import encoded_example
from int4_conformer.data.shards.prepare_config import PrepareConfig
from int4_conformer.data.shards.tfrecord import HEAD, framed
from int4_conformer.data.sources.contents import flac_file, wav_file
from int4_conformer.data.sources.entry import UNREADABLE_AUDIO
from int4_conformer.data.sources.prepared import index_path
from int4_conformer.data.sources.synthetic import SyntheticUtterance
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.files import sha256_of, write_beside

_ENCODERS = {"flac": flac_file, "pcm": wav_file}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard that is to be written."""

    path: Path
    split: str
    utterances: Utterances
    # Folder of the corpus, which names of recordings begin with that are kept without it.
    root: str
    # Digest of the whole plan: a shard of another one does not count.
    plan: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """What a shard holds."""

    # As the list of shards has it.
    listed: dict[str, Any]
    # What was left out of it, and what is odd.
    findings: list[Finding]


def write_shard(
    shard: Shard,
    config: PrepareConfig,
    on_error: OnError,
    on_utterance: Callable[[], None] = lambda: None,
) -> Written:
    """Decodes the utterances of a shard and writes them, the index last.

    Args:
        shard: what to write.
        config: how.
        on_error: what an utterance does that cannot be decoded.
        on_utterance: is called for each.

    Raises:
        UserError: one cannot, and `on_error` is "stop"; or the folder cannot be written to.
    """
    report = CorpusReport(on_error, "--on_error=skip leaves out what is broken.")
    notice = functools.partial(report.notice, "recordings with something odd")
    lines, digest, place = [], hashlib.sha256(), 0
    beside = shard.path.with_name(shard.path.name + ".partial")
    try:
        with beside.open("wb") as file:
            for utterance in shard.utterances:
                on_utterance()
                try:
                    samples = pcm16(utterance, notice, config.sample_rate)
                except UserError as error:
                    report.fault(UNREADABLE_AUDIO, located(utterance, error))
                    continue
                line, record = _record(utterance, samples, shard.root, config)
                line["start"] += place
                lines.append(line)
                digest.update(record)
                place += file.write(record)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, shard.path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(f"{shard.path} cannot be written ({error.strerror}); make room.") from error
    index = {
        "plan": shard.plan,
        "bytes": place,
        "sha256": digest.hexdigest(),
        "findings": report.findings,
        "utterances": lines,
    }
    write_beside(index_path(shard.path), (json.dumps(index, ensure_ascii=False) + "\n").encode())
    return _written(shard, index, config)


def finished(shard: Shard, config: PrepareConfig) -> Written | None:
    """What an earlier run has written of a shard, if it is whole and of the same plan."""
    try:
        index = json.loads(index_path(shard.path).read_bytes())
        is_whole = (
            index["plan"] == shard.plan
            and shard.path.stat().st_size == index["bytes"]
            and sha256_of(shard.path) == index["sha256"]
        )
        return _written(shard, index, config) if is_whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(
    utterance: Utterance | SyntheticUtterance,
    samples: np.ndarray,
    root: str,
    config: PrepareConfig,
) -> tuple[dict[str, Any], bytes]:
    """A line of the index, whose `start` is within the record, and the framed record."""
    audio = _ENCODERS[config.encoding](samples, config.sample_rate)
    name = utterance.id.removeprefix(root + os.sep)
    features = {
        "id": name.encode(errors="replace"),
        "text": utterance.text.encode(),
        "speaker": utterance.speaker.encode(),
        "sample_rate": config.sample_rate,
        "samples": samples.size,
        "encoding": b"flac" if config.encoding == "flac" else b"wav",
        "audio": audio,
    }
    # Audio stands last, so that its place follows from the length.
    example = encoded_example(features)
    line = {
        "id": name,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "samples": samples.size,
        "start": HEAD + len(example) - len(audio),
        "size": len(audio),
    }
    return line, framed(example)


def _written(shard: Shard, index: dict[str, Any], config: PrepareConfig) -> Written:
    samples = sum(line["samples"] for line in index["utterances"])
    return Written(
        listed={
            "file": shard.path.name,
            "split": shard.split,
            "bytes": index["bytes"],
            "sha256": index["sha256"],
            "index_sha256": sha256_of(index_path(shard.path)),
            "utterances": len(index["utterances"]),
            "seconds": round(samples / config.sample_rate, 3),
        },
        findings=[Finding(*finding) for finding in index["findings"]],
    )
