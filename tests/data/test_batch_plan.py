import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.data.batch_plan import evaluation_plan, training_plan

PLANS = st.tuples(
    st.lists(st.integers(-1, 2), min_size=1, max_size=40).filter(lambda b: max(b) >= 0),
    st.lists(st.integers(1, 6), min_size=3, max_size=3),
    st.integers(0, 3),
)


def taken(bucket_of, rows, seed, start, count):
    plan = training_plan(lambda epoch: np.array(bucket_of), rows, seed, start)
    found = list(itertools.islice(plan, count))
    assert [planned.number for planned in found] == list(range(start, start + count))
    return [(planned.bucket, planned.places.tolist()) for planned in found]


@settings(deadline=None)
@given(PLANS, st.integers(0, 30))
def test_a_plan_goes_on_from_any_batch(plan, start):
    whole = taken(*plan, 0, start + 10)
    assert taken(*plan, start, 10) == whole[start:]


@settings(deadline=None)
@given(PLANS)
def test_batches_are_whole_and_of_one_bucket(plan):
    bucket_of, rows, _ = plan
    for bucket, places in taken(*plan, 0, 20):
        assert len(places) == rows[bucket]
        assert {bucket_of[place] for place in places} == {bucket}


@pytest.mark.parametrize("seed", [0, 1])
def test_every_utterance_comes_once_an_epoch(seed):
    bucket_of, rows = np.arange(24) % 2, [4, 3]
    # 3 and 4 batches an epoch, without a rest.
    batches = taken(bucket_of, rows, seed, 0, 21)
    for epoch in range(3):
        places = [place for _, some in batches[7 * epoch : 7 * epoch + 7] for place in some]
        assert sorted(places) == list(range(24))
    assert batches[:7] != batches[7:14]
    assert [bucket for bucket, _ in batches[:7]] != sorted(bucket for bucket, _ in batches[:7])


def test_evaluation_takes_each_once_in_order():
    found = list(evaluation_plan(np.array([1, 0, -1, 1, 1]), [2, 2]))
    assert [(bucket, places.tolist()) for bucket, places in found] == [
        (0, [1]),
        (1, [0, 3]),
        (1, [4]),
    ]
