"""Shows what a corpus holds: form, hours, speakers, lengths, symbols, and what is wrong with it.

PATH is whatever train takes as --manifest. All audio is decoded, as training does, to find what
would be left out and why; nothing is written but the page of --html, which has histograms and a few
recordings to listen to.
"""

import shlex
import sys
from typing import Any

import numpy as np
from absl import flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli import app, corpora
from int4_conformer.cli.corpus_page import corpus_page
from int4_conformer.cli.flag_groups import GIVEN, PRINTED, group
from int4_conformer.cli.results import Result
from int4_conformer.data.corpus import format_of, normalized, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.corpus_summary import QUANTILES, CorpusSummary, quantiles
from int4_conformer.data.recordings import Recordings
from int4_conformer.errors import UserError
from int4_conformer.files import require_place, write_beside
from int4_conformer.progress import waiting
from int4_conformer.tables import columns
from int4_conformer.training.training_config import TrainingConfig

# Symbols on one line, and speakers that are named.
_SYMBOLS, _NAMED = 60, 5


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string(
            "split",
            None,
            "Its split, or several with commas between them; all if not given.",
            flag_values=values,
        )
    corpora.define_reading(values, "skip")
    app.define_fields(TrainingConfig, values, ["max_seconds"])
    with group(values, PRINTED):
        flags.DEFINE_string("html", None, "Page to write, with histograms.", flag_values=values)


def _corpus(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"corpus takes one PATH. Received: {len(arguments)} arguments")
    (path,) = arguments
    if values.html is not None:
        require_place(values.html)
    report = corpora.new_report(values)
    form = format_of(path).name
    with waiting("reading the corpus", file=sys.stderr, at_once=False):
        utterances = read_corpus(path, values.split, report, allow_commands=values.allow_commands)
        utterances = normalized(utterances, report)
    recordings = corpora.decode(utterances, report, hold=False)
    recordings = _short_enough(recordings, values.max_seconds, report)
    summary = CorpusSummary.of(recordings)
    lines = [*_lines(path, form, summary), *report.lines()]
    if values.html is not None:
        with waiting("drawing the page", file=sys.stderr, at_once=False):
            page = corpus_page(path, form, summary, recordings, report)
        write_beside(values.html, page.encode(errors="replace"))
        lines.append(f"page: {values.html}")
    return Result(
        text="\n".join(lines),
        facts=_facts(path, form, summary) | {"left_out": report.left_out},
        next=(f"{app.PROGRAM} train --manifest={shlex.quote(path)} --workdir=run",),
    )


def _short_enough(recordings: Recordings, most: float, report: CorpusReport) -> Recordings:
    kept = np.flatnonzero(recordings.lengths <= most * SAMPLE_RATE)
    for place in np.flatnonzero(recordings.lengths > most * SAMPLE_RATE):
        seconds = recordings.lengths[place] / SAMPLE_RATE
        report.leave_out(
            f"utterances longer than max_seconds={most:g}",
            f"{recordings[place].where}: {seconds:.1f} s",
        )
    if not kept.size:
        raise UserError(f"There is no utterance to train on. {report.first()}")
    return recordings.at(kept)


def _lines(path: str, form: str, summary: CorpusSummary) -> list[str]:
    """What to show of it."""
    rows = [
        (
            split.name,
            f"{split.seconds.size:,}",
            f"{split.hours:,.2f}",
            f"{len(split.speakers):,}" if split.speakers else "unknown",
        )
        for split in summary.splits
    ]
    lines = [
        f"{path} is {form}.",
        columns(("split", "utterances", "hours", "speakers"), rows, "<>>>"),
    ]
    if shared := summary.speakers_in_several:
        named = ", ".join(shared[:_NAMED]) + (", ..." if len(shared) > _NAMED else "")
        lines.append(f"{len(shared):,} speakers are in several splits: {named}")
    header = ("", *(_quantile_name(quantile) for quantile in QUANTILES))
    rows = [
        (name, *(f"{value:.{digits}f}" for value in quantiles(values)))
        for name, values, digits in (
            ("seconds", summary.seconds, 2),
            ("characters a second", summary.characters_per_second, 1),
        )
    ]
    lines.append(columns(header, rows, "<" + ">" * len(QUANTILES)))
    lines.append(f"{summary.words:,} words, {summary.vocabulary:,} different ones")
    shown = [("space" if symbol == " " else symbol) for symbol in summary.symbols]
    more = f", and {len(shown) - _SYMBOLS:,} more" if len(shown) > _SYMBOLS else ""
    lines.append(f"{len(shown):,} symbols: {' '.join(shown[:_SYMBOLS])}{more}")
    if summary.repeated:
        lines.append(f"{summary.repeated:,} utterances are there more than once")
    if summary.repeated_texts:
        lines.append(
            f"{summary.repeated_texts:,} utterances say what an earlier one of theirs says"
        )
    return lines


def _facts(path: str, form: str, summary: CorpusSummary) -> dict[str, Any]:
    """The same for programs."""
    names = list(map(_quantile_name, QUANTILES))
    return {
        "corpus": path,
        "form": form,
        "splits": {
            split.name: {
                "utterances": split.seconds.size,
                "hours": split.hours,
                # None: the corpus does not say.
                "speakers": len(split.speakers) or None,
            }
            for split in summary.splits
        },
        "speakers_in_several_splits": summary.speakers_in_several,
        "seconds": dict(zip(names, quantiles(summary.seconds), strict=True)),
        "characters_per_second": dict(
            zip(names, quantiles(summary.characters_per_second), strict=True)
        ),
        "words": summary.words,
        "vocabulary": summary.vocabulary,
        "symbols": summary.symbols,
        "repeated": summary.repeated,
        "repeated_texts": summary.repeated_texts,
    }


def _quantile_name(quantile: float) -> str:
    return {0.0: "least", 0.5: "median", 1.0: "most"}.get(quantile, f"{100 * quantile:g}%")


COMMAND = app.Command(
    name="corpus",
    usage="PATH [flags]",
    description=__doc__,
    examples=("corpus/manifest.jsonl", "corpus --split=train,dev --html=corpus.html"),
    define_flags=_define_flags,
    main=_corpus,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
