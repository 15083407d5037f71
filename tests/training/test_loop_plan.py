import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.data.batch_plan import Planned
from int4_conformer.training.loop_plan import LoopPlan
from int4_conformer.training.training_config import TrainingConfig


@given(
    seed=st.integers(0, 1000),
    steps=st.integers(1, 40),
    per_loop=st.integers(1, 9),
    every=st.integers(1, 20),
    stage=st.integers(0, 40),
    stops=st.lists(st.integers(0, 40), max_size=2),
    first=st.integers(0, 10),
)
def test_loops_are_the_plan_cut_where_the_host_has_to_look(
    seed, steps, per_loop, every, stage, stops, first
):
    buckets = np.random.default_rng(seed).integers(0, 3, 100)
    batches = [
        Planned(i, int(bucket), np.arange(2), np.zeros(2)) for i, bucket in enumerate(buckets)
    ]
    known = set()

    def is_new(batch, step):
        return (batch.bucket, step >= stage) not in known

    plan = LoopPlan(
        itertools.islice(batches, first, None),
        TrainingConfig(steps=steps, steps_per_loop=per_loop, evaluate_every=every),
        stops=stops,
        stage_ends=lambda step: stage if step < stage else float("inf"),
        is_new=is_new,
    )
    step, taken = first, []
    while step < steps:
        loop = plan.next_loop(step)
        end = step + len(loop)
        assert 1 <= len(loop) <= per_loop
        new = [is_new(batch, step) for batch in loop]
        assert not any(new[1:])
        assert not (new[0] and len(loop) > 1)
        passed = range(step + 1, end)
        assert not set(passed) & {steps, stage, *stops, *range(0, steps + 1, every)}
        # No shorter than it has to be.
        follower = batches[end]
        assert (
            new[0]
            or len(loop) == per_loop
            or end in {steps, stage, *stops}
            or end % every == 0
            or is_new(follower, step)
        )
        known |= {(batch.bucket, step >= stage) for batch in loop}
        taken += loop
        step = end
    assert taken == batches[first : first + len(taken)]
