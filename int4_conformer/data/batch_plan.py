"""Which utterances make which batch, worked out from their lengths alone.

A plan costs next to nothing to follow, so that training that was stopped goes on with the batches
that it would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Planned(NamedTuple):
    """What a batch of training is made of."""

    # How many came before it.
    number: int
    bucket: int
    # Of utterances, int [rows].
    places: np.ndarray
    # In which epoch each has its turn, int [rows].
    epochs: np.ndarray


def training_plan(
    bucket_of: Callable[[int], np.ndarray], rows: Sequence[int], seed: int, start: int = 0
) -> Iterator[Planned]:
    """Whole batches for ever: the utterances in a new order each epoch.

    A batch comes when its bucket is full; what an epoch leaves over begins the next one's batches.

    Args:
        bucket_of: gets the number of an epoch and gives int [utterances], their buckets in it; -1
            for those that are left out.
        rows: of a batch of each bucket.
        seed: of the orders.
        start: how many batches were taken before.

    Example:

        >>> import itertools
        >>> plan = training_plan(lambda epoch: np.array([0, 1, 0, 1]), rows=[2, 1], seed=0)
        >>> sorted(batch.bucket for batch in itertools.islice(plan, 3))
        [0, 1, 1]
    """
    # Places of utterances, and the epochs in which they have their turn, [2, utterances].
    left = [np.zeros([2, 0], np.int64) for _ in rows]
    epoch = number = 0
    while True:
        buckets = bucket_of(epoch)
        order = np.random.default_rng([seed, epoch]).permutation(np.flatnonzero(buckets >= 0))
        turns = np.stack([order, np.full_like(order, epoch)])
        batches = []
        for bucket, size in enumerate(rows):
            when = np.flatnonzero(buckets[order] == bucket)
            waiting = np.concatenate([left[bucket], turns[:, when]], axis=1)
            # When each of them comes; those that were left over are there already.
            when = np.concatenate([np.full(left[bucket].shape[1], -1), when])
            whole = when.size // size * size
            full = when[:whole].reshape(-1, size).max(axis=1, initial=-1)
            parts = waiting[:, :whole].reshape(2, -1, size).swapaxes(0, 1)
            batches += zip(full, [bucket] * len(full), parts, strict=True)
            left[bucket] = waiting[:, whole:]
        batches.sort(key=lambda batch: batch[:2])
        for place in range(max(0, start - number), len(batches)):
            _, bucket, (places, epochs) = batches[place]
            yield Planned(number + place, bucket, places, epochs)
        number += len(batches)
        epoch += 1


def evaluation_plan(bucket_of: np.ndarray, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Each utterance once, in order within a bucket; the last batch of a bucket may be short.

    Yields:
        a bucket and places of utterances, int [rows] at most.
    """
    for bucket, size in enumerate(rows):
        places = np.flatnonzero(bucket_of == bucket)
        for start in range(0, places.size, size):
            yield bucket, places[start : start + size]
