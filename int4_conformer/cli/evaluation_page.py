"""What a recogniser made of a corpus, on one page: errors in their places, and where they are."""

import itertools
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli.page_parts import player
from int4_conformer.data.recordings import Recordings
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.lite.words import Word
from int4_conformer.text.metrics import alignment
from int4_conformer.text.writing import WORDS
from int4_conformer.training import report_alignments
from int4_conformer.training.report_alignments import AlignedUtterance, percent
from int4_conformer.training.report_page import page, section, table, tile

# Groups of equal size that utterances are put into by their length, and by their noise.
_GROUPS = 4
# Utterances that can be played.
_PLAYED = 10
# Steps of the confidence.
_CONFIDENCES = np.array([0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0])
# Seconds over which a level is taken.
_LEVEL_SECONDS = 0.025


def evaluation_page(
    title: str, corpus: str, utterances: Recordings, evaluation: Evaluation, left_out: int
) -> str:
    """The page as HTML; it loads nothing.

    Args:
        title: the model's name.
        corpus: where the utterances are from.
        utterances: that were recognised.
        evaluation: of them.
        left_out: lines of the corpus that were not.
    """
    aligned = report_alignments.aligned(
        [
            {
                "utterance": utterance.id,
                "speaker": utterance.speaker or None,
                "reference": evaluation.words_of(utterance.text),
                "hypothesis": evaluation.words_of(hypothesis),
            }
            for utterance, hypothesis in zip(utterances, evaluation.hypotheses, strict=True)
        ]
    )
    subtitle = f"on {corpus}"
    if evaluation.normalizer != "words":
        subtitle += f", by --reference_normalizer={evaluation.normalizer}"
    seconds = utterances.lengths / SAMPLE_RATE
    noise = np.array([level_range(pcm) for pcm in utterances.pcm(range(len(utterances)))])
    wrong = report_alignments.frequent_errors(aligned)
    speakers = report_alignments.by_speaker(aligned)
    body = [
        f"<header><h1>{escape(title)}</h1><p class='muted'>{escape(subtitle)}</p></header>",
        _tiles(evaluation, left_out),
        section("Said and heard", report_alignments.alignments(aligned)),
        section("Most frequent errors", wrong) if wrong else "",
        section("By speaker", speakers) if speakers else "",
        section("By length", _grouped(aligned, seconds, "s", "length")),
        section(
            "By noise",
            "<p>How far speech stands out: the range from the quietest to the loudest parts of a "
            "recording, in dB. Noise makes it small.</p>",
            _grouped(aligned, noise, "dB", "range"),
        ),
        _confidences(utterances, evaluation),
        section("To listen to", _players(utterances, aligned)),
    ]
    return page(f"{title} on {corpus}", body)


def level_range(pcm: np.ndarray) -> float:
    """dB between the levels that a tenth and nineteen twentieths of a recording stay below.

    Args:
        pcm: int16 [samples].
    """
    size = round(_LEVEL_SECONDS * SAMPLE_RATE)
    frames = np.resize(pcm, max(1, pcm.size // size) * size).reshape(-1, size)
    # Audio of 16 bits is no finer than 1.
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(1) + 1.0)
    low, high = np.quantile(levels, [0.1, 0.95])
    return float(high - low)


def calibration(
    references: Sequence[str],
    words: Sequence[Sequence[Word]],
    words_of: Callable[[str], str] = WORDS.words_of,
) -> list[tuple[float, float, int, float, float]]:
    """How often words are right that the model is so sure of.

    A word that counts as several, as several characters for example, is right if all of them are.

    Args:
        references: the words that count of what was said in each utterance.
        words: what was heard in each.
        words_of: what counts of a text.

    Returns:
        of each range of confidences with a word in it: its ends, how many words, the share of them
        that is right, and their mean confidence.
    """
    found = []
    for reference, heard in zip(references, words, strict=True):
        parts = [words_of(word.text).split() for word in heard]
        pairs = alignment(reference.split(), list(itertools.chain(*parts)))
        right = iter([kind == "equal" for kind, _, hypothesis in pairs if hypothesis])
        found += [
            (word.confidence, all(list(itertools.islice(right, len(part)))))
            for word, part in zip(heard, parts, strict=True)
            if part
        ]
    confidences, right = np.array(found, np.float64).reshape(-1, 2).T
    places = np.clip(np.searchsorted(_CONFIDENCES, confidences, "right"), 1, _CONFIDENCES.size - 1)
    return [
        (
            float(_CONFIDENCES[place - 1]),
            float(_CONFIDENCES[place]),
            int(inside.sum()),
            float(right[inside].mean()),
            float(confidences[inside].mean()),
        )
        for place in range(1, _CONFIDENCES.size)
        if (inside := places == place).any()
    ]


def calibration_error(found: Sequence[tuple[float, float, int, float, float]]) -> float:
    """By how much confidence differs from the share of words that are right, on average over words.

    Args:
        found: what `calibration` returns.
    """
    words = sum(count for _, _, count, _, _ in found)
    return sum(count * abs(right - mean) for _, _, count, right, mean in found) / max(words, 1)


def _tiles(evaluation: Evaluation, left_out: int) -> str:
    errors = evaluation.errors
    tiles = [
        tile("Word errors", percent(errors.wer), f"{errors.errors:,} in {errors.words:,} words"),
        tile("Character errors", percent(evaluation.characters.cer)),
        tile("Utterances", f"{len(evaluation.hypotheses):,}", f"left out: {left_out:,}"),
        tile("Substituted", f"{errors.substitutions:,}"),
        tile("Deleted", f"{errors.deletions:,}"),
        tile("Inserted", f"{errors.insertions:,}"),
        tile("Real-time factor", f"{evaluation.rtf:.4f}", "seconds a second of audio"),
    ]
    return f'<dl class="grid tiles">{"".join(tiles)}</dl>'


def _grouped(aligned: Sequence[AlignedUtterance], values: np.ndarray, unit: str, what: str) -> str:
    """A table of word errors of the utterances with the smallest values, and so on."""
    groups = {}
    for places in np.array_split(np.argsort(values, kind="stable"), _GROUPS):
        if places.size:
            low, high = values[places[0]], values[places[-1]]
            groups[f"{low:.1f} to {high:.1f} {unit}"] = [aligned[place].errors for place in places]
    return report_alignments.error_table(what, groups)


def _confidences(utterances: Recordings, evaluation: Evaluation) -> str:
    if evaluation.words is None:
        return ""
    references = [evaluation.words_of(utterance.text) for utterance in utterances]
    found = calibration(references, evaluation.words, evaluation.words_of)
    rows = [
        (f"{low:g} to {high:g}", f"{count:,}", percent(right), percent(mean))
        for low, high, count, right, mean in found
    ]
    return section(
        "Confidence",
        "<p>Of the words that the model was so sure of, how many were right. That is about its "
        "confidence if it knows what it knows.</p>",
        table(("confidence", "words", "right", "mean confidence"), rows, "<>>>"),
        "<p>The last two differ by "
        f"{percent(calibration_error(found))} on average over the words: the expected calibration "
        "error, best at 0%.</p>",
    )


def _players(utterances: Recordings, aligned: Sequence[AlignedUtterance]) -> str:
    """Those with the most errors."""
    places = sorted(range(len(aligned)), key=lambda place: -aligned[place].errors.errors)
    places = places[:_PLAYED]
    parts = []
    for place, pcm in zip(places, utterances.pcm(places), strict=True):
        errors = aligned[place].errors.errors
        remark = f"{aligned[place].name} · {pcm.size / SAMPLE_RATE:.1f} s · errors: {errors}"
        heard = " ".join(hypothesis for _, _, hypothesis in aligned[place].pairs if hypothesis)
        parts.append(
            f'<div class="card utterance"><p>{escape(utterances[place].text)}</p>'
            f"<p>{escape(heard) or '(nothing heard)'}</p>"
            f"{player(pcm)}"
            f'<p class="muted">{escape(remark)}</p></div>'
        )
    return "\n".join(parts)
