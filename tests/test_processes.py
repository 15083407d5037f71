import os

import pytest

from int4_conformer.errors import UserError
from int4_conformer.processes import side_by_side


def doubled(number, count):
    if number < 0:
        os._exit(1)
    for _ in range(number):
        count()
    return 2 * number


def test_results_come_with_their_tasks():
    assert list(side_by_side(doubled, [3, 1], 1)) == [(3, 6), (1, 2)]
    assert list(side_by_side(doubled, [], 2)) == []
    assert sorted(side_by_side(doubled, [3, 1, 2], 2)) == [(1, 2), (2, 4), (3, 6)]


@pytest.mark.parametrize("processes", [1, 2])
def test_parts_are_counted_over_all_processes(processes):
    counts = []
    list(side_by_side(doubled, [3, 1, 2], processes, counts.append))
    assert counts == sorted(counts)
    assert counts[-1] == 6


def test_a_process_that_was_ended_is_told():
    with pytest.raises(UserError, match="give the command again to go on, with fewer --processes"):
        list(side_by_side(doubled, [-1, -2], 2))
