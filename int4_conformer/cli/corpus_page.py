"""A corpus on one page: figures, histograms, what was left out, and recordings to listen to."""

import itertools
from html import escape

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli.page_parts import bar_figure, player
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.corpus_summary import QUANTILES, CorpusSummary, quantiles
from int4_conformer.data.recordings import Recordings
from int4_conformer.progress import duration
from int4_conformer.training.report_page import page, section, table, tile

_BARS = 30
# Symbols that are drawn, and what fits beneath a bar.
_SYMBOLS = 40
# Recordings that can be played: the shortest, the longest, the fastest, the slowest, and others.
_PLAYED = 8
# Findings that are listed of each kind.
_LISTED = 20


def corpus_page(
    path: str,
    form: str,
    summary: CorpusSummary,
    recordings: Recordings,
    report: CorpusReport,
) -> str:
    """The page as HTML; it loads nothing.

    Args:
        path: of the corpus.
        form: what it is, with its article.
        summary: of its recordings.
        recordings: those that can be used.
        report: what was left out, and what is odd.
    """
    seconds = summary.seconds
    speakers = frozenset().union(*(split.speakers for split in summary.splits))
    tiles = [
        tile("Utterances", f"{seconds.size:,}", f"left out: {report.left_out:,}"),
        tile("Audio", duration(float(seconds.sum())), f"median {np.median(seconds):.1f} s"),
        tile("Speakers", f"{len(speakers):,}" if speakers else "unknown"),
        tile("Words", f"{summary.words:,}", f"{summary.vocabulary:,} different"),
        tile("Symbols", f"{len(summary.symbols):,}"),
    ]
    charts = [
        histogram("Length", seconds, "s"),
        histogram("Speaking rate", summary.characters_per_second, "characters a second"),
        bars("Symbols", dict(list(summary.symbols.items())[:_SYMBOLS])),
    ]
    body = [
        f"<header><h1>{escape(path)}</h1><p class='muted'>{escape(form)}</p></header>",
        f'<dl class="grid tiles">{"".join(tiles)}</dl>',
        section("Distributions", f'<div class="grid">{"".join(charts)}</div>'),
        section("Splits", _splits(summary)),
        section("Left out, and odd", _findings(report)),
        section("Some recordings", _players(recordings)),
    ]
    return page(f"{path}: corpus", body)


def histogram(title: str, values: np.ndarray, unit: str) -> str:
    """A figure of how many values are how large.

    Args:
        title: what they are.
        values: float [values], at least one.
        unit: of the values.
    """
    counts, edges = np.histogram(values, bins=min(_BARS, max(1, values.size)))
    words = f"median {np.median(values):.3g}, from {values.min():.3g} to {values.max():.3g} {unit}"
    names = [f"{low:.3g} to {high:.3g} {unit}" for low, high in itertools.pairwise(edges)]
    ends = (f"{edges[0]:.3g}", f"{edges[-1]:.3g} {unit}")
    return bar_figure(title, words, counts, names, ends)


def bars(title: str, counts: dict[str, int]) -> str:
    """A figure of how often each of some things is there, the most frequent first."""
    names = ["space" if name == " " else name for name in counts]
    ends = (names[0], names[-1]) if names else ("", "")
    return bar_figure(title, " ".join(names), np.array(list(counts.values())), names, ends)


def _splits(summary: CorpusSummary) -> str:
    header = ["split", "utterances", "hours", "speakers"]
    header += [f"{100 * quantile:g}%" for quantile in QUANTILES]
    rows = [
        [
            split.name,
            f"{split.seconds.size:,}",
            f"{split.hours:,.2f}",
            f"{len(split.speakers):,}" if split.speakers else "unknown",
            *(f"{value:.2f} s" for value in quantiles(split.seconds)),
        ]
        for split in summary.splits
    ]
    return table(header, rows, "<" + ">" * (len(header) - 1))


def _findings(report: CorpusReport) -> str:
    findings = report.findings
    if not findings:
        return '<p class="muted">Nothing.</p>'
    kinds: dict[tuple[bool, str], list[str]] = {}
    for finding in findings:
        kinds.setdefault((not finding.left_out, finding.kind), []).append(finding.example)
    parts = []
    for (is_used, kind), examples in sorted(kinds.items()):
        shown = "".join(f"<li>{escape(example)}</li>" for example in examples[:_LISTED])
        what = "used, but odd" if is_used else "left out"
        parts.append(
            f"<details><summary>{len(examples):,} {escape(kind)} ({what})</summary>"
            f"<ul>{shown}</ul></details>"
        )
    return "\n".join(parts)


def _players(recordings: Recordings) -> str:
    """The ends of the distributions, where mistakes are, and some at random."""
    lengths = recordings.lengths
    rate = np.array([len(u.text) for u in recordings]) / np.maximum(lengths, 1)
    reasons: dict[int, str] = {}
    for place, why in (
        (lengths.argmin(), "the shortest"),
        (lengths.argmax(), "the longest"),
        (rate.argmax(), "most characters a second"),
        (rate.argmin(), "fewest characters a second"),
    ):
        reasons.setdefault(int(place), why)
    for place in np.random.default_rng(0).permutation(len(recordings))[:_PLAYED]:
        if len(reasons) < _PLAYED:
            reasons.setdefault(int(place), "at random")
    parts = []
    for (place, why), pcm in zip(reasons.items(), recordings.pcm(list(reasons)), strict=True):
        utterance = recordings[place]
        seconds = pcm.size / SAMPLE_RATE
        remark = f"{why} · {seconds:.1f} s · {utterance.split} · {utterance.speaker}"
        parts.append(
            f'<div class="card utterance"><p>{escape(utterance.text)}</p>'
            f"{player(pcm)}"
            f'<p class="muted">{escape(remark.rstrip(" ·"))}<br>{escape(utterance.where)}</p></div>'
        )
    return "\n".join(parts)
