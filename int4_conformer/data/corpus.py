"""One way in to every kind of corpus, and what happens to one before it is batched."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.librispeech import read_librispeech
from int4_conformer.data.sources.manifest import read_manifest, require_split
from int4_conformer.data.sources.noise import NoiseUtterance
from int4_conformer.data.sources.synthetic import SyntheticUtterance, synthetic_corpus
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.text.normalize import markers, normalize
from int4_conformer.text.vocabulary import Vocabulary

Utterances = Sequence[Utterance | SyntheticUtterance | NoiseUtterance]

SYNTHETIC = "synthetic"
SYNTHETIC_SIZES = {"train": 2000, "dev": 200, "test": 200}


def read_corpus(
    path: str | os.PathLike, split: str | None = None, report: CorpusReport | None = None
) -> Utterances:
    """Reads a corpus.

    Args:
      path: a JSON-lines manifest, a folder that holds `manifest.jsonl`, a LibriSpeech folder, or
        the word "synthetic" for the corpus that is synthesised on the fly.
      split: keep one split, or several, with commas between them; None keeps all.
      report: is told of what cannot be used; one that stops at the first if not given.

    Raises:
      UserError: there is no such corpus, it has no such split (a `MissingSplitError`), or nothing
        in it can be used; or something cannot, and `report` stops.
    """
    if split is not None and "," in split:
        names = [name.strip() for name in split.split(",")]
        return [utterance for name in names for utterance in read_corpus(path, name, report)]
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
        return read_manifest(path, split, report)
    manifest = path / "manifest.jsonl"
    if manifest.is_file():
        return read_manifest(manifest, split, report)
    return read_librispeech(path, split, report)


def normalized(utterances: Utterances, report: CorpusReport | None = None) -> Utterances:
    """The utterances with normalised texts.

    Args:
      utterances: the corpus.
      report: is told of those without a word, which are left out, and of texts with markers such
        as "[noise]", which are used without them.
    """
    report = report or CorpusReport()
    kept = []
    for utterance in utterances:
        text = normalize(utterance.text)
        if not text:
            report.leave_out("texts without a word", f"{utterance.where}: {utterance.text!r}")
            continue
        if found := markers(utterance.text):
            report.notice(
                "texts with markers that are no words", f"{utterance.where}: {', '.join(found)}"
            )
        kept.append(
            utterance if text == utterance.text else dataclasses.replace(utterance, text=text)
        )
    return kept


def note_unspellable(utterances: Utterances, vocabulary: Vocabulary, report: CorpusReport) -> None:
    """Tells the report of texts to score with symbols that a model cannot write: each is an error
    whatever it hears."""
    symbols = set("".join(vocabulary.pieces[1:])) | {" "}
    for utterance in utterances:
        if foreign := sorted(set(normalize(utterance.text)) - symbols):
            report.notice(
                "texts to score with symbols that the model cannot write",
                f"{utterance.where}: {' '.join(foreign)}",
            )


def hold_out(
    utterances: Utterances, fraction: float, seed: int = 0
) -> tuple[Utterances, Utterances]:
    """Splits a corpus at random into what remains and the part held out, at least one each."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    count = min(max(1, round(fraction * len(utterances))), len(utterances) - 1)
    return [utterances[i] for i in order[count:]], [utterances[i] for i in order[:count]]
