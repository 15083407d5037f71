"""What a recogniser heard beside what was said, word by word."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from int4_conformer.text.metrics import WordErrors, alignment
from int4_conformer.training.report_page import details, table

# Utterances that are shown at once, of those with errors and of those without, and when asked for.
_WORST, _GOOD, _MORE = 10, 5, 100
# Speakers and kinds of errors that are listed.
_SPEAKERS, _FREQUENT = 20, 10
# Letter of a kind of error, and its style.
_KINDS = {
    "substitute": ("S", "substitution"),
    "delete": ("D", "deletion"),
    "insert": ("I", "insertion"),
}
# In place of a word that is not there.
_ABSENT = "∅"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignedUtterance:
    """An utterance whose words are paired up."""

    name: str
    # None: not known.
    speaker: str | None
    # Kind ("equal", "substitute", "delete" or "insert"), reference and hypothesis of each place.
    pairs: tuple[tuple[str, str, str], ...]

    @property
    def errors(self) -> WordErrors:
        kinds = collections.Counter(kind for kind, _, _ in self.pairs)
        return WordErrors(
            substitutions=kinds["substitute"],
            deletions=kinds["delete"],
            insertions=kinds["insert"],
            words=len(self.pairs) - kinds["insert"],
        )


def aligned(transcripts: Sequence[dict[str, Any]]) -> list[AlignedUtterance]:
    """Pairs up the words of utterances.

    Args:
        transcripts: of each "reference" and "hypothesis", normalised, and "utterance" and "speaker"
            if there are any.
    """
    return [
        AlignedUtterance(
            name=str(line.get("utterance", number)),
            speaker=None if line.get("speaker") is None else str(line["speaker"]),
            pairs=tuple(alignment(str(line["reference"]).split(), str(line["hypothesis"]).split())),
        )
        for number, line in enumerate(transcripts, 1)
    ]


def alignments(utterances: Sequence[AlignedUtterance]) -> str:
    """The utterances with the most errors and the longest without, as HTML."""
    wrong = sorted(
        (utterance for utterance in utterances if utterance.errors.errors),
        key=lambda utterance: (-utterance.errors.errors, -utterance.errors.wer),
    )
    right = sorted(
        (utterance for utterance in utterances if not utterance.errors.errors),
        key=lambda utterance: -utterance.errors.words,
    )
    total = sum((utterance.errors for utterance in utterances), WordErrors())
    return "\n".join(
        [
            f"<p>{_in_words(total)}: {total.substitutions:,} substituted, {total.deletions:,} "
            f"deleted, {total.insertions:,} inserted; {len(wrong):,} of {len(utterances):,} "
            "utterances have errors.</p>",
            _KEY,
            *_shown(wrong, _WORST, "With the most errors"),
            *_shown(right, _GOOD, "Without errors"),
        ]
    )


def frequent_errors(utterances: Sequence[AlignedUtterance]) -> str:
    """A table of the errors that occur most often; nothing if none occurs twice."""
    counts = collections.Counter(
        pair for utterance in utterances for pair in utterance.pairs if pair[0] != "equal"
    )
    rows = [
        (_KINDS[kind][1], reference or _ABSENT, hypothesis or _ABSENT, f"{count:,}")
        for (kind, reference, hypothesis), count in counts.most_common(_FREQUENT)
        if count > 1
    ]
    return table(("error", "said", "heard", "times"), rows, "<<<>") if rows else ""


def by_speaker(utterances: Sequence[AlignedUtterance]) -> str:
    """A table of word errors by speaker, worst first; nothing if no speaker is known."""
    speakers: dict[str, list[WordErrors]] = collections.defaultdict(list)
    for utterance in utterances:
        if utterance.speaker is not None:
            speakers[utterance.speaker].append(utterance.errors)
    sums = {speaker: sum(errors, WordErrors()) for speaker, errors in speakers.items()}
    worst = sorted(sums, key=lambda speaker: (-sums[speaker].wer, speaker))
    if not worst:
        return ""
    shown = error_table("speaker", {speaker: speakers[speaker] for speaker in worst[:_SPEAKERS]})
    return shown + _left_out(len(worst), _SPEAKERS, "speakers")


def error_table(what: str, groups: Mapping[str, Sequence[WordErrors]]) -> str:
    """A table of word errors of groups of utterances.

    Args:
        what: the groups are told apart by.
        groups: the errors of each one's utterances, by its name.
    """
    rows = []
    for name, each in groups.items():
        errors = sum(each, WordErrors())
        counts = len(each), errors.words, errors.errors
        rows.append((name, *(f"{count:,}" for count in counts), percent(errors.wer)))
    return table((what, "utterances", "words", "errors", "word errors"), rows, "<>>>>")


def percent(rate: float) -> str:
    """A word error rate as it is quoted."""
    return f"{100 * rate:.2f}%"


def _shown(utterances: Sequence[AlignedUtterance], first: int, title: str) -> list[str]:
    """Cards of some utterances, of more when asked for, and how many there are beyond."""
    if not utterances:
        return []
    parts = [f"<h3>{title}</h3>", *map(_card, utterances[:first])]
    if more := utterances[first : first + _MORE]:
        parts.append(details(f"{len(more):,} more", "\n".join(map(_card, more))))
    return [*parts, _left_out(len(utterances), first + _MORE, "utterances")]


def _card(utterance: AlignedUtterance) -> str:
    speaker = "" if utterance.speaker is None else f" · speaker {escape(utterance.speaker)}"
    return (
        f'<div class="card utterance"><p class="muted"><code>{escape(utterance.name)}</code>'
        f"{speaker} · {_in_words(utterance.errors)}</p>"
        f'<div class="words" dir="auto">{"".join(map(_place, utterance.pairs))}</div></div>'
    )


def _place(pair: tuple[str, str, str]) -> str:
    """A word as it was said over the word that was heard."""
    kind, reference, hypothesis = pair
    if kind == "equal":
        return f"<span>{escape(reference)}</span>"
    letter, style = _KINDS[kind]
    said = f"<del>{escape(reference)}</del>" if reference else f"<span>{_ABSENT}</span>"
    heard = f"<ins>{escape(hypothesis)}</ins>" if hypothesis else f"<span>{_ABSENT}</span>"
    return (
        f'<span class="mark {style}">{said}{heard}'
        f'<b><span class="hidden">{style}</span><span aria-hidden="true">{letter}</span></b></span>'
    )


def _in_words(errors: WordErrors) -> str:
    rate = f" ({percent(errors.wer)})" if errors.words else ""
    noun = "error" if errors.errors == 1 else "errors"
    return f"{errors.errors:,} {noun} in {errors.words:,} words{rate}"


def _left_out(count: int, shown: int, what: str) -> str:
    if count <= shown:
        return ""
    return f'<p class="muted">{count - shown:,} more {what} are not shown.</p>'


_KEY = (
    '<div class="words key">'
    + "".join(
        f"<div>{_place(pair)} {meaning}</div>"
        for pair, meaning in (
            (("substitute", "said", "heard"), "substituted: said above, heard below"),
            (("delete", "said", ""), "deleted: said, not heard"),
            (("insert", "", "heard"), "inserted: heard, not said"),
        )
    )
    + "</div>"
)
