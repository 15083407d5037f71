"""What commands that take a corpus have in common."""

import os
from collections.abc import Sequence
from typing import TextIO

from absl import flags

from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import ON_ERROR, CorpusReport, OnError
from int4_conformer.data.recordings import Recordings, decoded
from int4_conformer.data.sources.phrases import SpokenPhrase, count_spoken, speak_phrases
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.progress import Progress


def define_reading(values: flags.FlagValues, on_error: OnError) -> None:
    """Defines the flags --on_error, with its default, and --allow_commands."""
    flags.DEFINE_enum(
        "on_error",
        on_error,
        ON_ERROR,
        "What a line that is malformed or audio that cannot be decoded does: skip leaves it out "
        "and says so, stop ends the command with its name.",
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


def show(report: CorpusReport, file: TextIO | None = None) -> None:
    """Prints what was left out, and what is odd; on stdout if no file is given."""
    for line in report.lines():
        print(line, file=file, flush=True)
