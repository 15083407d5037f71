"""What commands that take a corpus have in common."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from absl import flags

from int4_conformer.data.corpus import (
    SYNTHETIC,
    Utterances,
    hold_out,
    normalized,
    read_corpus,
)
from int4_conformer.data.corpus_report import ON_ERROR, CorpusReport, OnError
from int4_conformer.data.input_config import Cache
from int4_conformer.data.recordings import Recordings, decoded, trainable, with_noise
from int4_conformer.data.sources.phrases import SpokenPhrase, count_spoken, speak_phrases
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.data.training_audio import training_audio
from int4_conformer.errors import UserError
from int4_conformer.progress import Progress, say, waiting
from int4_conformer.text.writing import Writing

if TYPE_CHECKING:
    # For training alone: a tokenizer may need sentencepiece, which the light runtime lacks.
    from int4_conformer.text.tokenizer import Tokenizer
    from int4_conformer.training.training_config import TrainingConfig

# What the splits of other speech begin with that are trained on, such as "train-clean-100".
_TRAIN = "train"


def define_reading(values: flags.FlagValues, on_error: OnError) -> None:
    """Defines the flags --on_error, with its default, and --allow_commands."""
    flags.DEFINE_enum(
        "on_error",
        on_error,
        ON_ERROR,
        "What happens at a malformed line or at audio that cannot be decoded: skip leaves it out "
        "and says so, stop ends the command and names it.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "allow_commands",
        False,
        "Run the commands that a corpus may have in place of audio files.",
        flag_values=values,
    )


def new_report(values: flags.FlagValues) -> CorpusReport:
    """What commands tell of their corpus, as --on_error says."""
    return CorpusReport(values.on_error, "--on_error=skip leaves out what is broken.")


def decode(
    utterances: Utterances, report: CorpusReport, *, hold: bool = True, title: str = "decode"
) -> Recordings:
    """Decodes a corpus while a bar or lines show how far it is.

    Raises:
        UserError: as `decoded`.
    """
    with Progress(len(utterances), title) as progress:
        return decoded(
            utterances, report, hold=hold, on_decoded=lambda done, _: progress.update(done)
        )


def spoken(
    phrases: Sequence[SpokenPhrase], folder: str | os.PathLike, processes: int
) -> list[Utterance]:
    """Has phrases spoken into a folder while a bar or lines show how far it is.

    Raises:
        UserError: as `speak_phrases`.
    """
    done = count_spoken(phrases, folder)
    with Progress(len(phrases), "speak", start=done) as progress:
        return speak_phrases(phrases, folder, processes=processes, on_done=progress.update)


def training_split(
    manifest: str,
    split: str,
    dev_fraction: float,
    report: CorpusReport,
    writing: Writing,
    *,
    allow_commands: bool,
    seed: int,
) -> tuple[Utterances, Utterances]:
    """What to train on, texts normalised, and what of it is held out.

    Args:
        manifest: the corpus.
        split: to train on.
        dev_fraction: to hold out.
        report: is told of what is left out.
        writing: how texts are written.
        allow_commands: whether commands of the corpus may run.
        seed: of what is held out.
    """
    read = read_corpus(manifest, split, report, allow_commands=allow_commands)
    train = normalized(read, report, writing)
    return hold_out(train, dev_fraction, seed=seed) if dev_fraction else (train, [])


def training_set(
    utterances: Utterances,
    tokenizer: "Tokenizer",
    config: "TrainingConfig",
    labels_per_second: float,
    report: CorpusReport,
    cache: Cache,
    *,
    allow_commands: bool = False,
) -> Recordings:
    """What a training hears: of a corpus what it can be trained on, and beside it other speech and
    noise, of which nothing is to be heard.

    Args:
        utterances: texts normalised.
        tokenizer: makes the labels.
        config: of the training.
        labels_per_second: most that the model can emit.
        report: is told of what is left out.
        cache: where samples are kept here.
        allow_commands: whether commands of the other speech may run.

    Raises:
        UserError: as `read_corpus`, `training_audio` and `trainable`; or nothing with words is
            left.
    """
    if config.other_speech:
        others = _without_words(config.other_speech, report, allow_commands)
        utterances = [*utterances, *others]
    with Progress(len(utterances), "read") as progress:
        recordings = training_audio(
            utterances,
            report,
            cache=cache,
            folder=config.cache_folder,
            # A training and its workers find the same lengths, by headers.
            may_hold=not config.data_service,
            tell=progress.line,
            on_done=lambda done, _: progress.update(done),
        )
    recordings = trainable(
        recordings,
        tokenizer,
        max_seconds=config.max_seconds,
        labels_per_second=labels_per_second / config.fastest,
        report=report,
    )
    if not any(utterance.text for utterance in recordings):
        raise UserError(f"There is no utterance with words to train on. {report.first()}")
    if config.noise_share:
        with waiting("making noise"):
            recordings = with_noise(recordings, config.noise_share, config.seed)
    return recordings


def _without_words(corpus: str, report: CorpusReport, allow_commands: bool) -> list[Utterance]:
    """The recordings of a corpus, with texts that say that nothing is to be heard."""
    if corpus == SYNTHETIC:
        raise UserError(
            "--other_speech takes recordings, and 'synthetic' is spoken from its texts alone; "
            "write some with `int4-conformer speak`."
        )
    found = read_corpus(corpus, None, report, allow_commands=allow_commands)
    kept = [
        dataclasses.replace(utterance, text="")
        for utterance in found
        if utterance.split.startswith(_TRAIN)
    ]
    if not kept:
        splits = ", ".join(sorted({repr(utterance.split) for utterance in found}))
        raise UserError(
            f"--other_speech={corpus} has no split whose name begins with {_TRAIN!r}; it has "
            f"{splits}."
        )
    return kept


def show(report: CorpusReport, file: TextIO | None = None) -> None:
    """Prints what was left out, and what is odd; on stdout if no file is given."""
    for line in report.lines():
        say(line, file=file)
