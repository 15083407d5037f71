import functools
import math

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.text.metrics import (
    CharacterErrors,
    WordErrors,
    character_errors,
    edits,
    word_errors,
)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("a b c", "a b c", (0, 0, 0, 3)),
        ("a b c", "a x c", (1, 0, 0, 3)),
        ("a b c", "a c", (0, 1, 0, 3)),
        ("a b", "a b c d", (0, 0, 2, 2)),
        ("", "x y", (0, 0, 2, 0)),
        ("", "", (0, 0, 0, 0)),
        ("a b", "", (0, 2, 0, 2)),
    ],
)
def test_counts(reference, hypothesis, counts):
    errors = word_errors([reference], [hypothesis])
    assert (errors.substitutions, errors.deletions, errors.insertions, errors.words) == counts


def test_a_corpus_is_the_sum_of_its_utterances():
    pairs = [("a b", "a"), ("", "x"), ("c d e", "c q e f")]
    total = sum((word_errors([r], [h]) for r, h in pairs), WordErrors())
    assert total == word_errors(*zip(*pairs, strict=True))
    assert total == WordErrors(substitutions=1, deletions=1, insertions=2, words=5)
    assert total.wer == pytest.approx(4 / 5)


def test_no_words():
    assert word_errors([], []) == WordErrors()
    assert WordErrors().wer == 0
    assert WordErrors(insertions=1).wer == math.inf


def test_refuses_lists_of_two_lengths():
    with pytest.raises(ValueError, match="Received: 1 and 2"):
        word_errors(["a"], ["a", "b"])


WORDS = st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join)


@given(WORDS, WORDS)
def test_as_many_errors_as_jiwer_counts(reference, hypothesis):
    found = word_errors([reference], [hypothesis])
    counted = jiwer.process_words([reference], [hypothesis])
    assert found.errors == counted.substitutions + counted.deletions + counted.insertions
    assert found.insertions - found.deletions == counted.insertions - counted.deletions
    # As many right words as any alignment with so few errors has.
    assert found.substitutions <= counted.substitutions


def best_alignment(reference, hypothesis):
    """Errors and substitutions of the best alignment, by its definition."""

    @functools.cache
    def best(i, j):
        if i == 0 or j == 0:
            return i + j, 0
        differ = reference[i - 1] != hypothesis[j - 1]
        moves = (((i - 1, j - 1), differ, differ), ((i - 1, j), 1, 0), ((i, j - 1), 1, 0))
        sums = [(best(*before), error, swap) for before, error, swap in moves]
        return min((errors + error, swaps + swap) for (errors, swaps), error, swap in sums)

    return best(len(reference), len(hypothesis))


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_are_the_fewest_with_the_fewest_substitutions(reference, hypothesis):
    substitutions, deletions, insertions = edits(reference, hypothesis)
    errors, fewest = best_alignment(reference, hypothesis)
    assert (substitutions + deletions + insertions, substitutions) == (errors, fewest)
    assert len(reference) - deletions + insertions == len(hypothesis)


def test_character_errors_leave_spaces_out():
    found = character_errors(["今天 天气好", "a b"], ["今天气 好吗", "ab"])
    assert found == CharacterErrors(errors=2, characters=7)
    assert found.cer == pytest.approx(2 / 7)
    assert character_errors([""], ["a"]).cer == math.inf
    assert character_errors([], []).cer == 0
    with pytest.raises(ValueError, match="Received: 1 and 0"):
        character_errors(["a"], [])


@given(st.text("ab ", max_size=8), st.text("ab ", max_size=8))
def test_as_many_character_errors_as_by_definition(reference, hypothesis):
    found = character_errors([reference], [hypothesis])
    symbols = reference.replace(" ", ""), hypothesis.replace(" ", "")
    assert found == CharacterErrors(errors=best_alignment(*symbols)[0], characters=len(symbols[0]))
