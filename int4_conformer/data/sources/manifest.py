"""A corpus as a JSON-lines manifest, and the utterance every corpus is made of."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from int4_conformer.audio import audio_files
from int4_conformer.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """A recording and its transcript."""

    # Absolute path of the audio file.
    audio: str
    # Transcript as published, not normalised.
    text: str
    # Seconds; manifests often round it.
    duration: float
    # "" where the corpus does not say.
    speaker: str = ""
    split: str = "train"

    @property
    def id(self) -> str:
        """What reports call the utterance."""
        return self.audio

    def samples(self, sample_rate: int = audio_files.SAMPLE_RATE) -> np.ndarray:
        """The waveform, float32 `[samples]` in [-1, 1], decoded on each call."""
        return audio_files.read(self.audio, sample_rate)


def read_manifest(path: str | os.PathLike, split: str | None = None) -> list[Utterance]:
    """Reads a manifest, one JSON object a line.

    Keys: `audio` (a path, absolute or relative to the manifest) and `text`; optional `duration`
    (seconds; read from the audio's header if absent), `speaker` ("" if absent) and `split`
    ("train" if absent).

    Args:
      path: the manifest.
      split: keep the utterances of this split; None keeps all.

    Raises:
      UserError: the manifest or an audio file is missing, a line is malformed (named by its
        number), or no utterance is of `split`.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a manifest file, one JSON object a line.")
    if not path.exists():
        raise UserError(f"There is no manifest {path}; check the path.")
    try:
        # Not splitlines(): JSON strings may hold the other line separators of Unicode.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save the manifest as UTF-8.") from error
    entries = [
        _parse(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not entries:
        raise UserError(f"The manifest {path} is empty; write one JSON object a line.")
    if split is not None:
        require_split(split, (entry["split"] for entry in entries), path)
        entries = [entry for entry in entries if entry["split"] == split]
    return [_utterance(entry, path) for entry in entries]


def require_split(split: str, present: Iterable[str], corpus: str | os.PathLike) -> None:
    """Raises UserError, naming the splits of the corpus, unless `split` is among them."""
    present = set(present)
    if split not in present:
        raise UserError(
            f"{corpus} has no split {split!r}; it has {', '.join(map(repr, sorted(present)))}."
        )


_TYPES = {"audio": str, "text": str, "duration": (int, float), "speaker": str, "split": str}
_NAMES = {str: "a string", (int, float): "a number of seconds"}


def _parse(line: str, path: Path, number: int) -> dict:
    """The keys of a line that we know, checked, with the defaults of absent ones."""
    where = f"Line {number} of {path}"
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON ({error.msg}); write one JSON object a line."
        ) from error
    if not isinstance(given, dict):
        raise UserError(f'{where} is not a JSON object; write {{"audio": ..., "text": ...}}.')
    entry = {"duration": None, "speaker": "", "split": "train", "line": number}
    for key, kind in _TYPES.items():
        if key not in given:
            if key not in entry:
                raise UserError(f"{where} has no key {key!r}; add it.")
            continue
        value = given[key]
        # To Python, True is a number.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{where}: {key!r} must be {_NAMES[kind]}. Received: {value!r}")
        entry[key] = value
    seconds = entry["duration"]
    if seconds is not None and not 0 < seconds < math.inf:
        raise UserError(f"{where}: 'duration' must be positive and finite. Received: {seconds}")
    return entry


def _utterance(entry: dict, path: Path) -> Utterance:
    audio = os.path.abspath(path.parent / entry["audio"])
    if not os.path.isfile(audio):
        raise UserError(
            f"Line {entry['line']} of {path} names the audio file {audio}, which does not exist; "
            "paths are relative to the manifest."
        )
    seconds = entry["duration"]
    return Utterance(
        audio=audio,
        text=entry["text"],
        duration=audio_files.duration(audio) if seconds is None else float(seconds),
        speaker=entry["speaker"],
        split=entry["split"],
    )
