"""Word and character errors."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordErrors:
    """Counts of a minimum edit alignment; counts of separate utterances add up with `+`."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    # Words in the references.
    words: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Errors a reference word; 0.05 is 5 %. Infinite for insertions into no words at all."""
        return _rate(self.errors, self.words)

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
            words=self.words + other.words,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharacterErrors:
    """Errors among characters, spaces left out: what to compare where words have no spaces between
    them, as in Chinese, Japanese or Thai."""

    errors: int = 0
    # Characters in the references.
    characters: int = 0

    @property
    def cer(self) -> float:
        """Errors a reference character; 0.05 is 5 %. Infinite for insertions into none at all."""
        return _rate(self.errors, self.characters)


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Word errors of hypotheses against references, both already normalised.

    Every word of a hypothesis whose reference is empty counts as an insertion.

    Raises:
      ValueError: there are not as many hypotheses as references.
    """
    counts = np.zeros(3, np.int64)
    words = 0
    for reference, hypothesis in _pairs(references, hypotheses):
        counts += edits(reference.split(), hypothesis.split())
        words += len(reference.split())
    substitutions, deletions, insertions = counts.tolist()
    return WordErrors(
        substitutions=substitutions, deletions=deletions, insertions=insertions, words=words
    )


def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> CharacterErrors:
    """Character errors of hypotheses against references, both already normalised.

    Raises:
      ValueError: there are not as many hypotheses as references.
    """
    errors = characters = 0
    for reference, hypothesis in _pairs(references, hypotheses):
        reference = reference.replace(" ", "")
        errors += sum(edits(reference, hypothesis.replace(" ", "")))
        characters += len(reference)
    return CharacterErrors(errors=errors, characters=characters)


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions that make a reference a hypothesis.

    They are as few as can be (Levenshtein's distance), and of such alignments it is one with the
    fewest substitutions, so that the most symbols are right.
    """
    # Equal ends are right in some best alignment; what is between them is mostly short.
    start, stop = 0, min(len(reference), len(hypothesis))
    while start < stop and reference[start] == hypothesis[start]:
        start += 1
    end = 0
    while end < stop - start and reference[-1 - end] == hypothesis[-1 - end]:
        end += 1
    reference = reference[start : len(reference) - end]
    hypothesis = hypothesis[start : len(hypothesis) - end]
    ids = {symbol: index for index, symbol in enumerate({*reference, *hypothesis})}
    heard = np.array([ids[symbol] for symbol in hypothesis], np.int64)
    # A substitution costs one unit more than a deletion or an insertion. All substitutions of an
    # alignment together cost less than an error more, which decides among as few errors alone.
    error = min(len(reference), len(hypothesis)) + 1
    inserted = error * np.arange(heard.size + 1)
    costs = inserted
    for symbol in reference:
        following = costs + error
        swapped = costs[:-1] + np.where(heard == ids[symbol], 0, error + 1)
        np.minimum(following[1:], swapped, out=following[1:])
        # An insertion goes on from any place before: the least of all costs less their places.
        costs = np.minimum.accumulate(following - inserted) + inserted
    total, substitutions = divmod(int(costs[-1]), error)
    # Insertions less deletions are what the hypothesis is longer by.
    inserted_more = len(hypothesis) - len(reference)
    insertions = (total - substitutions + inserted_more) // 2
    return substitutions, insertions - inserted_more, insertions


def alignment(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str, str]]:
    """An alignment with the counts of `edits`.

    Returns:
      kind ("equal", "substitute", "delete" or "insert"), symbol of the reference and symbol of the
      hypothesis of each place, "" for none.

    Example:

        >>> alignment(["turn", "on"], ["turn", "it", "on"])
        [('equal', 'turn', 'turn'), ('insert', '', 'it'), ('equal', 'on', 'on')]
    """
    # Errors and, of as few, substitutions on the best way to each place, and the step to it.
    best = {(0, 0): ((0, 0), "")}
    for i, j in itertools.product(range(len(reference) + 1), range(len(hypothesis) + 1)):
        ways = []
        if i and j:
            (errors, swaps), _ = best[i - 1, j - 1]
            wrong = reference[i - 1] != hypothesis[j - 1]
            ways.append(((errors + wrong, swaps + wrong), "substitute" if wrong else "equal"))
        if i:
            (errors, swaps), _ = best[i - 1, j]
            ways.append(((errors + 1, swaps), "delete"))
        if j:
            (errors, swaps), _ = best[i, j - 1]
            ways.append(((errors + 1, swaps), "insert"))
        if ways:
            best[i, j] = min(ways, key=lambda way: way[0])
    places, i, j = [], len(reference), len(hypothesis)
    while i or j:
        kind = best[i, j][1]
        i, j = i - (kind != "insert"), j - (kind != "delete")
        said = "" if kind == "insert" else reference[i]
        places.append((kind, said, "" if kind == "delete" else hypothesis[j]))
    return places[::-1]


def _pairs(references: Sequence[str], hypotheses: Sequence[str]) -> zip:
    if len(references) != len(hypotheses):
        raise ValueError(
            "`references` and `hypotheses` must be of one length. "
            f"Received: {len(references)} and {len(hypotheses)}"
        )
    return zip(references, hypotheses, strict=True)


def _rate(errors: int, length: int) -> float:
    if length:
        return errors / length
    return math.inf if errors else 0.0
