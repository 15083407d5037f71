"""One way in to every kind of corpus, and what happens to one before it is batched."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from int4_conformer.data.sources.librispeech import read_librispeech
from int4_conformer.data.sources.manifest import Utterance, read_manifest, require_split
from int4_conformer.data.sources.synthetic import SyntheticUtterance, synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.text.normalize import normalize

Utterances = Sequence[Utterance | SyntheticUtterance]

SYNTHETIC = "synthetic"
SYNTHETIC_SIZES = {"train": 2000, "dev": 200, "test": 200}


def read_corpus(path: str | os.PathLike, split: str | None = None) -> Utterances:
    """Reads a corpus.

    Args:
      path: a JSON-lines manifest, a folder that holds `manifest.jsonl`, a LibriSpeech folder, or
        the word "synthetic" for the corpus that is synthesised on the fly.
      split: keep one split; None keeps all.

    Raises:
      UserError: there is no such corpus, it is malformed, or it has no such split.
    """
    if path == SYNTHETIC:
        if split is not None:
            require_split(split, SYNTHETIC_SIZES, "The synthetic corpus")
        return [
            utterance
            for name, count in SYNTHETIC_SIZES.items()
            if split in (None, name)
            for utterance in synthetic_corpus(name, count)
        ]
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"There is no corpus {path}; give a manifest, a LibriSpeech folder or {SYNTHETIC!r}."
        )
    if not path.is_dir():
        return read_manifest(path, split)
    manifest = path / "manifest.jsonl"
    return read_manifest(manifest, split) if manifest.is_file() else read_librispeech(path, split)


def normalized(utterances: Utterances) -> Utterances:
    """The utterances with normalised texts; those without a word are left out."""
    texts = [normalize(utterance.text) for utterance in utterances]
    return [
        utterance if text == utterance.text else dataclasses.replace(utterance, text=text)
        for utterance, text in zip(utterances, texts, strict=True)
        if text
    ]


def hold_out(
    utterances: Utterances, fraction: float, seed: int = 0
) -> tuple[Utterances, Utterances]:
    """Splits a corpus at random into what remains and the part held out, at least one each."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    count = min(max(1, round(fraction * len(utterances))), len(utterances) - 1)
    return [utterances[i] for i in order[count:]], [utterances[i] for i in order[:count]]
