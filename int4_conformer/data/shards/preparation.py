"""A corpus of any form made a folder of shards, by several processes."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport, OnError
from int4_conformer.data.shards.prepare_config import PrepareConfig
from int4_conformer.data.shards.shard_writer import Shard, Written, finished, write_shard
from int4_conformer.data.sources.prepared import (
    LEFT_OUT,
    SHARD_LIST,
    VERSION,
    index_path,
    read_shard_list,
)
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_beside, write_json_lines
from int4_conformer.processes import side_by_side

# Seconds that an utterance is taken to have whose length nothing tells.
_USUAL_SECONDS = 10.0


class Preparation:
    """Makes a folder of shards of a corpus.

    The folder holds `prepared.json`, the list of shards with their checksums; a TFRecord file and
    an index for each shard, `train-00000-of-00004.tfrecord` and `.json`; and `left_out.jsonl`. A
    shard is there when its index is, which is written after it.

    Args:
        utterances: the corpus.
        folder: to write to; of another preparation only if it has the same plan.
        config: how.
        root: folder of the corpus; names of recordings are kept relative to it.

    Raises:
        UserError: the folder cannot be written to, or holds something else.
    """

    def __init__(
        self,
        utterances: Utterances,
        folder: str | os.PathLike,
        config: PrepareConfig,
        root: str | os.PathLike = "/",
    ) -> None:
        require_folder_place(folder)
        self._config = config
        self._folder = Path(folder).absolute()
        digest = _digest(utterances, config)
        self._plan = digest
        self._shards = list(
            _shards(utterances, self._folder, config, os.path.abspath(root), digest)
        )
        self._require_ours()

    @property
    def total(self) -> int:
        """Utterances to prepare."""
        return sum(len(shard.utterances) for shard in self._shards)

    def run(
        self,
        report: CorpusReport,
        *,
        processes: int = 1,
        on_error: OnError = "skip",
        on_done: Callable[[int, int], None] = lambda done, decoded: None,
    ) -> list[dict[str, Any]]:
        """Writes the shards that are not there yet, then the list.

        Args:
            report: is told of what was left out, also by an earlier run.
            processes: that decode at a time.
            on_error: what an utterance does that cannot be decoded.
            on_done: is told how many utterances are done, and how many of these were decoded now;
                the others are in shards that were there.

        Returns:
            the list of shards, as `prepared.json` has it.

        Raises:
            UserError: an utterance cannot be decoded and `on_error` is "stop", none can, or the
                folder cannot be written to. What was written stays.
        """
        if not (self._folder / SHARD_LIST).exists():
            self._write_list([], is_complete=False)
        written = self._there(on_done)
        there = sum(len(shard.utterances) for shard in self._shards if shard.path in written)
        missing = [shard for shard in self._shards if shard.path not in written]

        def on_decoded(count: int) -> None:
            on_done(there + count, count)

        write = functools.partial(_write, self._config, on_error)
        with contextlib.closing(side_by_side(write, missing, processes, on_decoded)) as results:
            for shard, result in results:
                written[shard.path] = result
        # In the order of the plan, whichever was done first.
        results = [written[shard.path] for shard in self._shards]
        for result in results:
            report.include(result.findings)
        listed = [result.listed for result in results]
        if not any(shard["utterances"] for shard in listed):
            raise UserError(f"None of the recordings can be decoded. {report.first()}")
        rows = [{"why": f.kind, "what": f.example} for f in report.findings if f.left_out]
        write_json_lines(self._folder / LEFT_OUT, rows)
        self._write_list(listed, is_complete=True)
        return listed

    @property
    def kept(self) -> str:
        """What of it is there, for someone who stopped it."""
        there = sum(index_path(shard.path).exists() for shard in self._shards)
        return f"{there:,} of {len(self._shards):,} shards are written and stay"

    def _there(self, on_done: Callable[[int, int], None]) -> dict[Path, Written]:
        """What earlier runs have written of the shards."""
        found, done = {}, 0
        for shard in self._shards:
            if (result := finished(shard, self._config)) is not None:
                found[shard.path] = result
                done += len(shard.utterances)
                on_done(done, 0)
        return found

    def _require_ours(self) -> None:
        path = self._folder / SHARD_LIST
        if path.exists():
            if read_shard_list(self._folder)["plan"] != self._plan:
                raise UserError(
                    f"{self._folder} holds shards of another corpus, or with other settings; "
                    "choose another folder or remove it."
                )
        elif self._folder.exists() and any(self._folder.iterdir()):
            raise UserError(f"{self._folder} is not empty; choose another folder.")

    def _write_list(self, shards: Sequence[dict[str, Any]], *, is_complete: bool) -> None:
        listed = {
            "version": VERSION,
            "is_complete": is_complete,
            "plan": self._plan,
            "sample_rate": self._config.sample_rate,
            "encoding": self._config.encoding,
            "shards": list(shards),
        }
        write_beside(self._folder / SHARD_LIST, (json.dumps(listed, indent=1) + "\n").encode())


def _write(
    config: PrepareConfig, on_error: OnError, shard: Shard, count: Callable[[], None]
) -> Written:
    return write_shard(shard, config, on_error, count)


def _shards(
    utterances: Utterances, folder: Path, config: PrepareConfig, root: str, plan: str
) -> Iterator[Shard]:
    """The shards of each split: neighbours, of about as much audio."""
    splits: dict[str, list] = {}
    for utterance in utterances:
        splits.setdefault(utterance.split, []).append(utterance)
    for split, members in splits.items():
        seconds = np.array([utterance.duration for utterance in members])
        seconds = np.nan_to_num(seconds, nan=_USUAL_SECONDS)
        count = config.shard_count(len(members), float(seconds.sum()))
        # Each begins where its part of the audio does, and none is empty.
        middles = (np.cumsum(seconds) - seconds / 2) / max(seconds.sum(), 1e-9)
        begins = np.searchsorted(middles, np.arange(count) / count)
        least = np.arange(count)
        begins = np.maximum.accumulate(begins - least) + least
        begins = np.minimum(begins, len(members) - count + least)
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in split) or "_"
        for number, (begin, end) in enumerate(
            zip(begins, [*begins[1:], len(members)], strict=True)
        ):
            yield Shard(
                path=folder / f"{name}-{number:05}-of-{count:05}.tfrecord",
                split=split,
                utterances=members[begin:end],
                root=root,
                plan=plan,
            )


def _digest(utterances: Utterances, config: PrepareConfig) -> str:
    """What tells one plan from another."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    for utterance in utterances:
        facts = (utterance.id, utterance.text, utterance.speaker, utterance.split)
        digest.update(f"{facts!r} {utterance.duration}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()
