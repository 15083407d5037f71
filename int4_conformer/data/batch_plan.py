"""Which utterances make which batch, worked out from their lengths alone.

A plan costs next to nothing to follow, so that training that was stopped goes on with the batches
that it would have seen.
"""

from collections.abc import Iterator, Sequence

import numpy as np

# A bucket, and the places of utterances that fill a batch of it, int [rows].
Planned = tuple[int, np.ndarray]


def training_plan(
    bucket_of: np.ndarray, rows: Sequence[int], seed: int, start: int = 0
) -> Iterator[Planned]:
    """Whole batches for ever: the utterances in a new order each epoch.

    A batch comes when its bucket is full; what an epoch leaves over begins the next one's batches.

    Args:
        bucket_of: int [utterances]; -1 for those that are left out.
        rows: of a batch of each bucket.
        seed: of the orders.
        start: how many batches were taken before.

    Example:

        >>> plan = training_plan(np.array([0, 1, 0, 1]), rows=[2, 1], seed=0)
        >>> sorted(bucket for bucket, _ in itertools.islice(plan, 3))
        [0, 1, 1]
    """
    kept = np.flatnonzero(bucket_of >= 0)
    left = [np.zeros(0, np.int64) for _ in rows]
    epoch = taken = 0
    while True:
        order = np.random.default_rng([seed, epoch]).permutation(kept)
        batches = []
        for bucket, size in enumerate(rows):
            when = np.flatnonzero(bucket_of[order] == bucket)
            waiting = np.concatenate([left[bucket], order[when]])
            # When each of them comes; those that were left over are there already.
            when = np.concatenate([np.full(left[bucket].size, -1), when])
            whole = waiting.size // size * size
            full = when[:whole].reshape(-1, size).max(axis=1, initial=-1)
            batches += zip(
                full, [bucket] * len(full), waiting[:whole].reshape(-1, size), strict=True
            )
            left[bucket] = waiting[whole:]
        batches.sort(key=lambda batch: batch[:2])
        for _, bucket, places in batches[max(0, start - taken) :]:
            yield bucket, places
        taken += len(batches)
        epoch += 1


def evaluation_plan(bucket_of: np.ndarray, rows: Sequence[int]) -> Iterator[Planned]:
    """Each utterance once, in order within a bucket; the last batch of a bucket may be short."""
    for bucket, size in enumerate(rows):
        places = np.flatnonzero(bucket_of == bucket)
        for start in range(0, places.size, size):
            yield bucket, places[start : start + size]
