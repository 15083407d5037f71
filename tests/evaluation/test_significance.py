import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.evaluation.significance import permutation_test, wer_difference, wer_interval

_COUNTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9)


@settings(deadline=None)
@given(_COUNTS)
def test_the_test_is_that_of_all_exchanges(pairs):
    first, second = np.array(pairs).T
    found = abs((second - first).sum())
    totals = [
        abs(np.dot(signs, second - first))
        for signs in itertools.product([1, -1], repeat=len(pairs))
    ]
    expected = np.mean(np.array(totals) >= found)
    assert permutation_test(first, second) == pytest.approx(expected)
    assert permutation_test(second, first) == pytest.approx(expected)


def test_errors_of_an_utterance_are_exchanged_in_all_trainings():
    # Both trainings miss one utterance: two exchanges, not four.
    first, second = np.zeros([2, 3], int), np.array([[1, 0, 0], [1, 0, 0]])
    assert permutation_test(first, second) == 1.0


def test_of_many_utterances_it_is_the_normal_one():
    rng = np.random.default_rng(1)
    first, second = rng.poisson(0.30, 3000), rng.poisson(0.33, 3000)
    differences = second - first
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    assert permutation_test(first, second) == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


def _by_hand(errors, words, draws=2000):
    """The bootstrap, an utterance and a training at a time."""
    rng = np.random.default_rng(7)
    rates = []
    for _ in range(draws):
        rows = rng.integers(0, len(errors), len(errors))
        columns = rng.integers(0, len(words), len(words))
        counted = sum(errors[row][column] for row in rows for column in columns)
        rates.append(counted / len(rows) / sum(words[column] for column in columns))
    return np.quantile(rates, [0.025, 0.975])


@pytest.mark.parametrize("trainings", [1, 3])
def test_the_interval_is_that_of_draws_by_hand(trainings):
    rng = np.random.default_rng(trainings)
    words = rng.integers(1, 6, 40)
    errors = rng.binomial(words, rng.uniform(0, 0.4, [trainings, 1]))
    found = wer_interval(errors if trainings > 1 else errors[0], words)
    assert found.value == pytest.approx(errors.sum() / words.sum() / trainings)
    assert [found.low, found.high] == pytest.approx(_by_hand(errors, words), abs=0.012)


def test_the_interval_holds_what_it_says():
    """Of many corpora of one recogniser, about 95% have an interval that holds the true rate."""
    rng = np.random.default_rng(3)
    words = np.full(200, 5)
    held = 0
    for _ in range(60):
        found = wer_interval(rng.binomial(words, 0.1), words)
        held += found.low <= 0.1 <= found.high
    assert held >= 51


def test_pairs_take_out_what_both_find_hard():
    rng = np.random.default_rng(5)
    words = np.full(300, 6)
    hard = rng.binomial(words, rng.choice([0.0, 0.8], 300))
    second = np.maximum(hard - (rng.random(300) < 0.05), 0)
    found = wer_difference(hard, second, words)
    assert found.value < 0
    assert found.high < 0
    alone = wer_interval(hard, words)
    assert found.high - found.low < (alone.high - alone.low) / 5


def test_a_recogniser_does_not_differ_from_itself():
    errors, words = np.array([[0, 2, 1], [1, 1, 0]]), np.array([3, 4, 5])
    found = wer_difference(errors, errors, words)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert permutation_test(errors, errors) == 1.0


def test_utterances_without_words_count_what_is_inserted():
    found = wer_interval(np.array([2, 0]), np.array([0, 10]))
    assert found.value == pytest.approx(0.2)
    assert np.isfinite(found.high)


@pytest.mark.parametrize(
    ("errors", "words"), [([1, 2], [3]), ([[1, 2]], [[3, 4]]), ([1, 2], [0, 0])]
)
def test_what_does_not_fit_is_refused(errors, words):
    with pytest.raises(ValueError, match="words"):
        wer_interval(np.array(errors), np.array(words))
    with pytest.raises(ValueError, match="same trainings and utterances"):
        permutation_test(np.array([1, 2]), np.array([1]))
