"""Folders of sounds that are mixed into recordings: noise and rooms that a user has."""

import functools
from pathlib import Path

import numpy as np

from int4_conformer.audio import audio_files
from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

_ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


class SoundFolder:
    """Audio files in a folder and those below it.

    Args:
        path: the folder, or one file.
        setting: that names it, for sentences.

    Raises:
        UserError: there is none in it.
    """

    def __init__(self, path: str, setting: str) -> None:
        folder = Path(path).absolute()
        files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        self._files = [str(file) for file in files if file.suffix.lower() in _ENDINGS]
        if not self._files:
            raise UserError(
                f"--{setting}={path} holds no audio file ({', '.join(sorted(_ENDINGS))}); give a "
                "folder of them, or `synthetic`."
            )

    def __len__(self) -> int:
        return len(self._files)

    def stretch(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of `count` samples of one of them, of which a short one is repeated; float32.

        Raises:
            UserError: it cannot be decoded.
        """
        path = self._files[rng.integers(len(self._files))]
        begin = rng.random()
        # Shorter than it seems: the last samples may be missing of what a header promises.
        room = _seconds(path) - 0.1 - count / SAMPLE_RATE
        if room <= 0.0:
            whole = audio_files.read(path)
            return np.roll(np.resize(whole, count), int(begin * count))
        part = Utterance(audio=path, text="", duration=count / SAMPLE_RATE, offset=begin * room)
        return np.resize(part.samples(), count)

    def whole(self, rng: np.random.Generator) -> np.ndarray:
        """One of them; float32 [samples].

        Raises:
            UserError: it cannot be decoded.
        """
        return _read(self._files[rng.integers(len(self._files))])


@functools.lru_cache(maxsize=100_000)
def _seconds(path: str) -> float:
    return audio_files.duration(path)


# Impulse responses are short.
@functools.lru_cache(maxsize=256)
def _read(path: str) -> np.ndarray:
    return audio_files.read(path)
