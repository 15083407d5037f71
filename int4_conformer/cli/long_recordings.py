"""Recordings of any length, heard block by block, with progress and a word on how they were cut."""

import sys
from collections.abc import Iterable, Iterator

import numpy as np

from int4_conformer.audio.audio_files import AudioFile
from int4_conformer.cli import app
from int4_conformer.cli.recognizers import Search
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.words import Recognition
from int4_conformer.progress import Progress, duration


def taken(blocks: Iterator[np.ndarray], most: float) -> tuple[np.ndarray, bool]:
    """Takes blocks up to more than so many samples.

    Returns:
        float32 [samples] of those blocks, and whether they are more than `most`.
    """
    head, count = [np.zeros([0], np.float32)], 0
    while count <= most and (block := next(blocks, None)) is not None:
        head.append(block)
        count += len(block)
    return np.concatenate(head), count > most


def steps(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same samples, `size` at a time, fewer at the end."""
    rest = np.zeros([0], np.float32)
    for block in blocks:
        rest = np.append(rest, block)
        whole = len(rest) // size * size
        yield from (rest[start : start + size] for start in range(0, whole, size))
        rest = rest[whole:]
    if len(rest):
        yield rest


def recognize_long(
    recognizer: Recognizer,
    search: Search,
    path: str,
    file: AudioFile,
    audio: Iterable[np.ndarray],
) -> Recognition:
    """Recognises a file that is longer than one call hears.

    Args:
        recognizer: hears it.
        search: what flags ask for.
        path: of the file.
        file: the file, which tells how long it is.
        audio: its samples at the recogniser's rate.
    """
    progress = Progress(
        round(file.seconds()), f"recognising {path}", shown=duration, file=sys.stderr
    )
    with progress:
        found = recognizer.recognize_long(
            audio,
            recognizer.sample_rate,
            on_heard=lambda seconds: progress.update(round(seconds)),
            **search,
        )
    if found.cuts:
        app.tell(_told_of_cuts(path, found, recognizer.longest_seconds))
    return found


def _told_of_cuts(path: str, found: Recognition, longest: float) -> str:
    """How a recording was cut, and why."""
    cuts = len(found.cuts)
    spoken = sum(not cut.is_pause for cut in found.cuts)
    where = "all in pauses"
    if spoken:
        where = f"{spoken} of {cuts} cuts within speech, where the parts overlap"
    return (
        f"{path} was cut into {cuts + 1} parts, {where}: one call of this model hears "
        f"{longest:g} s at most."
    )
