"""A corpus for training, of any size: where its samples are kept, and how long recordings are.

What fits into memory is decoded before anything is made of it, so that its lengths are certain. Of
what does not, nothing is decoded before it is drawn: lengths are those that headers tell, and a
recording that turns out otherwise is left out whenever it has its turn.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_config import Cache
from int4_conformer.data.recordings import Recordings, decoded, known_lengths, located
from int4_conformer.data.sample_stores import DiskCache
from int4_conformer.data.sources.entry import UNREADABLE_AUDIO
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

# Of this machine's memory, what a corpus may take to be held in it.
_SHARE_OF_MEMORY = 0.2
# Seconds that an utterance is taken to have whose length nothing tells.
_USUAL_SECONDS = 10.0
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


def training_audio(
    utterances: Utterances,
    report: CorpusReport,
    *,
    cache: Cache = "auto",
    folder: str = "",
    may_hold: bool = True,
    tell: Callable[[str], None] = lambda line: None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> Recordings:
    """The recordings of a corpus to train on.

    Args:
        utterances: the corpus.
        report: is told of what cannot be used, which is left out; it may stop.
        cache: where samples are kept: `memory`, `disk`, `none` (decoded whenever they are drawn),
            or `auto`: in memory if they take less than a fifth of it, else on disk. Of a corpus
            that was prepared lengths are known, and nothing is kept.
        folder: that has the caches; the user's if empty.
        may_hold: whether `auto` may mean memory.
        tell: is told in a line where they are kept, if not in memory.
        on_done: is told how many utterances were looked at, of how many.

    Raises:
        UserError: no recording can be used, `report` stops, or there is no room.
    """
    if known_lengths(utterances) is not None:
        return decoded(utterances, report)
    if cache == "memory" or (cache == "auto" and may_hold and _fits(utterances)):
        return decoded(utterances, report, on_decoded=on_done)
    kept, lengths = _told(utterances, report, on_done)
    recordings = Recordings(kept, lengths, is_claimed=True)
    if cache == "none":
        tell("audio is decoded whenever it is drawn (--cache=none)")
        return recordings
    place = Path(folder or _user_folder()).absolute() / _fingerprint(kept, lengths)
    try:
        store = DiskCache.opened(place, lengths)
    except UserError as error:
        if cache == "disk":
            raise
        tell(f"audio is decoded whenever it is drawn: {error}")
        return recordings
    size = recordings.seconds * _BYTES_PER_SECOND / 1e9
    tell(f"decoded audio is kept in {place}: {100 * store.share:.0f}% of {size:,.1f} GB are there")
    return Recordings(kept, lengths, store, is_claimed=True)


def _fits(utterances: Utterances) -> bool:
    """Whether a corpus may be held in memory.

    What counts is the memory that there is and not what is free at the moment, so that a run that
    goes on hears what it would have heard.
    """
    seconds = np.array([utterance.duration for utterance in utterances])
    size = np.nan_to_num(seconds, nan=_USUAL_SECONDS).sum() * _BYTES_PER_SECOND
    return bool(size <= _SHARE_OF_MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _told(
    utterances: Utterances, report: CorpusReport, on_done: Callable[[int, int], None]
) -> tuple[Utterances, np.ndarray]:
    """Utterances whose length something tells, and their lengths, int64 [utterances]."""
    kept, lengths = [], []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            for place, found in enumerate(pool.map(_told_length, utterances)):
                on_done(place + 1, len(utterances))
                utterance = utterances[place]
                if isinstance(found, UserError):
                    report.fault(UNREADABLE_AUDIO, located(utterance, found))
                    continue
                kept.append(dataclasses.replace(utterance, duration=found / SAMPLE_RATE))
                lengths.append(found)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not kept:
        raise UserError(f"None of the recordings can be decoded. {report.first()}")
    return kept, np.array(lengths, np.int64)


def _told_length(utterance: Utterance) -> int | UserError:
    try:
        if isinstance(utterance, Utterance):
            return utterance.told_length(SAMPLE_RATE)
        return utterance.samples(SAMPLE_RATE).size
    except UserError as error:
        return error


def _fingerprint(utterances: Utterances, lengths: np.ndarray) -> str:
    """What tells decoded audio from that of any other corpus, and of these files once changed."""
    digest = hashlib.sha256(lengths.tobytes())
    modified: dict[str, int] = {}
    for utterance in utterances:
        path = getattr(utterance, "audio", "")
        if path and path not in modified:
            modified[path] = os.stat(path).st_mtime_ns if os.path.isfile(path) else 0
        facts = (utterance.id, getattr(utterance, "channel", ""), getattr(utterance, "contents", 0))
        digest.update(f"{facts!r} {modified.get(path)}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:32]


def _user_folder() -> Path:
    """Where programs keep what they can make again."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "int4_conformer" / "audio"
