"""Word errors."""

import dataclasses
import math
from collections.abc import Sequence

import jiwer


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
        if self.words:
            return self.errors / self.words
        return math.inf if self.errors else 0.0

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
            words=self.words + other.words,
        )


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Word errors of hypotheses against references, both already normalised.

    Every word of a hypothesis whose reference is empty counts as an insertion.

    Raises:
      ValueError: there are not as many hypotheses as references.
    """
    if len(references) != len(hypotheses):
        raise ValueError(
            "`references` and `hypotheses` must be of one length. "
            f"Received: {len(references)} and {len(hypotheses)}"
        )
    if not references:
        return WordErrors()
    counts = jiwer.process_words(list(references), list(hypotheses))
    return WordErrors(
        substitutions=counts.substitutions,
        deletions=counts.deletions,
        insertions=counts.insertions,
        words=counts.hits + counts.substitutions + counts.deletions,
    )
