import math

import pytest

from int4_conformer.text.metrics import WordErrors, word_errors


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
