"""One way in to every kind of corpus, and what happens to one before it is batched."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources import tfds, tfio
from int4_conformer.data.sources.entry import require_split
from int4_conformer.data.sources.kaldi import kaldi_folders, read_kaldi
from int4_conformer.data.sources.lhotse import cuts_in, is_cuts, read_lhotse
from int4_conformer.data.sources.librispeech import is_librispeech, read_librispeech
from int4_conformer.data.sources.manifest import read_manifest
from int4_conformer.data.sources.noise import NoiseUtterance
from int4_conformer.data.sources.phrases import PREFIX as PHRASES
from int4_conformer.data.sources.phrases import read_spoken_phrases
from int4_conformer.data.sources.plain_folder import is_plain_folder, read_plain_folder
from int4_conformer.data.sources.prepared import SHARD_LIST, read_prepared
from int4_conformer.data.sources.synthetic import SyntheticUtterance, synthetic_corpus
from int4_conformer.data.sources.tables_folder import is_table, read_tables, tables_in
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.remote_path import is_remote, path_of
from int4_conformer.text.normalize import markers, normalize
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.text.writing import WORDS, Writing

Utterances = Sequence[Utterance | SyntheticUtterance | NoiseUtterance]

SYNTHETIC = "synthetic"
# In a folder.
MANIFEST = "manifest.jsonl"
SYNTHETIC_SIZES = {"train": 2000, "dev": 200, "test": 200}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A form in which corpora come."""

    # For the user, with its article.
    name: str
    # Whether what is at a path has it.
    holds: Callable[[Path], object]
    # Gets the path, the split and the report.
    read: Callable[..., Utterances]
    # Whether `read` takes `allow_commands`.
    has_commands: bool = False


_SYNTHETIC = Format(
    name="the synthetic corpus",
    holds=lambda path: str(path) == SYNTHETIC,
    read=lambda path, split, report: _synthetic(split),
)
_TFDS = Format(
    name="a data set of tensorflow_datasets",
    holds=lambda path: str(path).startswith(tfds.PREFIX),
    read=lambda path, split, report: tfds.read_tfds(str(path), split, report),
)
_TFIO = Format(
    name="a manifest read by tensorflow-io",
    holds=lambda path: str(path).startswith(tfio.PREFIX),
    read=lambda path, split, report: tfio.read_tfio(str(path), split, report),
)
_PHRASES = Format(
    name="phrases, spoken",
    holds=lambda path: str(path).startswith(PHRASES),
    read=lambda path, split, report: read_spoken_phrases(str(path), split, report),
)
_PREPARED = Format(
    name="a prepared corpus",
    holds=lambda folder: (folder / SHARD_LIST).is_file(),
    read=read_prepared,
)
# The first that holds counts.
_FILES = (
    Format(name="a table", holds=is_table, read=read_tables),
    Format(name="cuts of Lhotse", holds=is_cuts, read=read_lhotse, has_commands=True),
    Format(name="a manifest", holds=lambda path: True, read=read_manifest),
)
_FOLDERS = (
    Format(
        name="a manifest",
        holds=lambda folder: (folder / MANIFEST).is_file(),
        read=lambda folder, *rest: read_manifest(Path(folder) / MANIFEST, *rest),
    ),
    _PREPARED,
    Format(name="a Kaldi folder", holds=kaldi_folders, read=read_kaldi, has_commands=True),
    Format(name="cuts of Lhotse", holds=cuts_in, read=read_lhotse, has_commands=True),
    Format(name="a folder of tables", holds=tables_in, read=read_tables),
    Format(name="a LibriSpeech folder", holds=is_librispeech, read=read_librispeech),
    Format(name="a folder of recordings and texts", holds=is_plain_folder, read=read_plain_folder),
)


def format_of(path: str | os.PathLike) -> Format:
    """Tells what a corpus is by what it holds.

    Raises:
      UserError: there is nothing at `path`, or nothing that is known.
    """
    for special in (_SYNTHETIC, _TFDS, _TFIO, _PHRASES):
        if special.holds(path):
            return special
    if is_remote(path):
        try:
            is_prepared = _PREPARED.holds(path_of(path))
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error
        if not is_prepared:
            raise UserError(
                f"{path} holds no prepared corpus; prepare one on this machine (`int4-conformer "
                "prepare`) and copy its folder there."
            )
        return _PREPARED
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"There is no corpus {path}; give a manifest, a table, a folder of recordings, "
            f"{SYNTHETIC!r}, {PHRASES}FILE or {tfds.PREFIX}NAME."
        )
    known = _FOLDERS if path.is_dir() else _FILES
    found = next((form for form in known if form.holds(path)), None)
    if found is None:
        raise UserError(
            f"{path} holds no corpus that is known: no {MANIFEST}, wav.scp, cuts, table, "
            "SPEAKER/CHAPTER/*.trans.txt or recording with a .txt file beside it."
        )
    return found


def read_corpus(
    path: str | os.PathLike,
    split: str | None = None,
    report: CorpusReport | None = None,
    *,
    allow_commands: bool = False,
) -> Utterances:
    """Reads a corpus in any of the forms that docs/corpora.md lists.

    Args:
      path: a file or folder, that of a prepared corpus also in the cloud (gs://bucket/shards);
        "synthetic" for the corpus that is synthesised on the fly, "phrases:FILE" for speech made
        of a list of phrases, "tfds:NAME" or "tfio:MANIFEST".
      split: keep one split, or several, with commas between them; None keeps all.
      report: is told of what cannot be used; one that stops at the first if not given.
      allow_commands: run the commands that a corpus has in place of audio files.

    Raises:
      UserError: there is no such corpus, it has no such split (a `MissingSplitError`), or nothing
        in it can be used; or something cannot, and `report` stops.
    """
    if split is not None and "," in split:
        read = functools.partial(read_corpus, path, allow_commands=allow_commands)
        names = [name.strip() for name in split.split(",")]
        return [utterance for name in names for utterance in read(name, report)]
    form = format_of(path)
    allowed = {"allow_commands": allow_commands} if form.has_commands else {}
    return form.read(path, split, report, **allowed)


def _synthetic(split: str | None) -> Utterances:
    if split is not None:
        require_split(split, SYNTHETIC_SIZES, "The synthetic corpus")
    return [
        utterance
        for name, count in SYNTHETIC_SIZES.items()
        if split in (None, name)
        for utterance in synthetic_corpus(name, count)
    ]


def normalized(
    utterances: Utterances,
    report: CorpusReport | None = None,
    writing: Writing = WORDS,
) -> Utterances:
    """The utterances with normalised texts.

    Args:
      utterances: the corpus.
      report: is told of those without a word, which are left out, and of texts with markers such
        as "[noise]", and what becomes of these.
      writing: how the texts are written then.
    """
    kept_markers = " that count as words" if writing.markers == "keep" else " that are no words"
    report = report or CorpusReport()
    kept = []
    for utterance in utterances:
        text = writing.of(utterance.text)
        if not normalize(text):
            report.leave_out("texts without a word", f"{utterance.where}: {utterance.text!r}")
            continue
        if found := markers(utterance.text):
            report.notice(
                f"texts with markers{kept_markers}", f"{utterance.where}: {', '.join(found)}"
            )
        kept.append(
            utterance if text == utterance.text else dataclasses.replace(utterance, text=text)
        )
    return kept


def note_unspellable(
    utterances: Utterances,
    vocabulary: Vocabulary,
    report: CorpusReport,
    writing: Writing = WORDS,
) -> None:
    """Tells the report of texts to score with symbols that a model cannot write: each is an error
    whatever it hears."""
    symbols = set("".join(vocabulary.pieces[1:])) | {" "}
    for utterance in utterances:
        if foreign := sorted(set(writing.of(utterance.text)) - symbols):
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
