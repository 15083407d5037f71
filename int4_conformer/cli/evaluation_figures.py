"""What `evaluate` found, as rows and lines of text."""

from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.evaluation.significance import permutation_test, wer_difference


def figure_rows(evaluation: Evaluation, left_out: int) -> dict[str, str]:
    """Figures by name."""
    errors = evaluation.errors
    return {
        "utterances": f"{len(evaluation.hypotheses):,}",
        **({"left out": f"{left_out:,}"} if left_out else {}),
        "words": f"{errors.words:,}",
        "WER": f"{100 * errors.wer:.2f}%",
        "CER": f"{100 * evaluation.characters.cer:.2f}%",
        **_written_rows(evaluation),
        "substitutions": f"{errors.substitutions:,}",
        "deletions": f"{errors.deletions:,}",
        "insertions": f"{errors.insertions:,}",
        "real-time factor": f"{evaluation.rtf:.4f}",
        **({"normalizer": evaluation.normalizer} if evaluation.normalizer != "words" else {}),
    }


def _written_rows(evaluation: Evaluation) -> dict[str, str]:
    """Rates with case and punctuation."""
    if evaluation.written is None or evaluation.written_characters is None:
        return {}
    return {
        "WER as written": f"{100 * evaluation.written.wer:.2f}%",
        "CER as written": f"{100 * evaluation.written_characters.cer:.2f}%",
    }


def difference(
    utterances: Utterances, evaluation: Evaluation, other: Evaluation
) -> dict[str, float | None]:
    """By how much the WER differs from another's, as fractions; null if there are no words."""
    errors, words = evaluation.counts(utterances)
    others, _ = other.counts(utterances)
    if not words.sum():
        return dict.fromkeys(("difference", "low", "high", "p"))
    found = wer_difference(others, errors, words)
    return {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p": permutation_test(others, errors),
    }


def difference_rows(name: str, other: Evaluation, found: dict[str, float | None]) -> dict[str, str]:
    """The other's WER, and what `difference` has found."""
    rows = {"against": f"{name}, WER {100 * other.errors.wer:.2f}%"}
    if found["difference"] is not None:
        points = [f"{100 * found[key]:+.2f}" for key in ("difference", "low", "high")]
        rows["difference"] = f"{points[0]} points ({points[1]} .. {points[2]} with 95%)"
        rows["by chance"] = f"p = {found['p']:.2g}"
    return rows


def transcript_lines(utterances: Utterances, evaluation: Evaluation) -> str:
    """A line id<TAB>reference<TAB>hypothesis for each utterance."""
    write = evaluation.writing.of
    return "".join(
        f"{utterance.id}\t{write(utterance.text)}\t{write(hypothesis)}\n"
        for utterance, hypothesis in zip(utterances, evaluation.hypotheses, strict=True)
    )
