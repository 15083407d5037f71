"""Whether recognisers differ by more than chance, on the same utterances.

Errors are counted for each utterance, and for each of several trainings if there are some.
Intervals are the bootstrap of Bisani and Ney (ICASSP 2004): utterances are drawn again, with
replacement, and of several trainings those, too. The test is that of matched pairs (Gillick and
Cox, ICASSP 1989) with utterances for segments, and the exact distribution of a permutation test in
place of a normal one, so that it holds for the few errors of a small corpus.
"""

import dataclasses
import functools

import numpy as np

# Draws of a bootstrap.
_DRAWS = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure, and between which values it lies with 95%."""

    value: float
    low: float
    high: float


def wer_interval(errors: np.ndarray, words: np.ndarray) -> Interval:
    """A word error rate, the mean of all trainings, and its interval; 0.05 is 5%.

    Args:
      errors: int [utterances] or [trainings, utterances].
      words: int [utterances], words of the references.

    Raises:
      ValueError: shapes do not fit, or there are no words.

    Example:

        >>> wer_interval(np.array([0, 1, 0, 0]), np.array([5, 5, 5, 5]))
        Interval(value=0.05, low=0.0, high=0.15)
    """
    errors, words = _checked(errors, words)
    trainings, utterances = errors.shape
    # Whole numbers: exact in float32 below 2^24.
    columns = _drawn(utterances)
    by_training = columns @ errors.T.astype(np.float32)
    found = (by_training * _drawn(trainings)).sum(axis=1) / trainings
    # A draw may have met nothing but utterances without words.
    spoken = np.maximum(columns @ words.astype(np.float32), 1)
    rates = found.astype(np.float64) / spoken
    low, high = np.quantile(rates, [0.025, 0.975])
    value = errors.sum() / trainings / words.sum()
    return Interval(value=float(value), low=float(low), high=float(high))


def wer_difference(first: np.ndarray, second: np.ndarray, words: np.ndarray) -> Interval:
    """The word error rate of a second recogniser less that of a first; below 0, it is better.

    Both are drawn together, so that what is hard for both is in neither end of the interval.

    Args:
      first: its errors, int [utterances] or [trainings, utterances].
      second: those of the other, of the same utterances in the same order, and of trainings that
        go together, by their seed for example.
      words: int [utterances], words of the references.

    Raises:
      ValueError: shapes do not fit, or there are no words.
    """
    return wer_interval(_differences(first, second), words)


def permutation_test(first: np.ndarray, second: np.ndarray) -> float:
    """The probability that chance alone makes two recognisers differ in as many errors, or more.

    If they were alike, of each utterance either could have made the errors of the other: it is the
    part of all such exchanges whose errors differ as much in total. Trainings are taken as they
    are, and their errors of an utterance exchanged together.

    Args:
      first: its errors, int [utterances] or [trainings, utterances].
      second: those of the other.

    Raises:
      ValueError: shapes do not fit.

    Example:

        >>> permutation_test(np.array([1, 0, 1]), np.array([0, 0, 0]))
        0.5
    """
    differences = np.atleast_2d(_differences(first, second)).sum(axis=0)
    sizes = np.abs(differences[differences != 0]).tolist()
    # Of each total from -reach to reach, the part of the exchanges that come to it.
    reach = sum(sizes)
    parts = np.zeros(2 * reach + 1)
    parts[reach] = 1.0
    for size in sizes:
        parts = (np.roll(parts, size) + np.roll(parts, -size)) / 2
    totals = np.abs(np.arange(-reach, reach + 1))
    return float(min(parts[totals >= abs(differences.sum())].sum(), 1.0))


@functools.lru_cache(maxsize=4)
def _drawn(count: int) -> np.ndarray:
    """How often each of so many things is drawn, float32 [draws, count]; all corpora of as many
    utterances have the same draws."""
    # Other draws for each count, lest a training go with an utterance.
    rng = np.random.default_rng(count)
    return rng.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(np.float32)


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
    if first.shape != second.shape:
        raise ValueError(
            "`first` and `second` must be of the same trainings and utterances. "
            f"Received: shapes {first.shape} and {second.shape}"
        )
    return second - first


def _checked(errors: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    errors = np.atleast_2d(np.asarray(errors, np.int64))
    words = np.asarray(words, np.int64)
    if errors.ndim != 2 or errors.shape[1:] != words.shape:
        raise ValueError(
            "`errors` must be [utterances] or [trainings, utterances], `words` [utterances]. "
            f"Received: shapes {errors.shape} and {words.shape}"
        )
    if not words.sum():
        raise ValueError("`words` must not all be 0: there is no rate of no words.")
    return errors, words
