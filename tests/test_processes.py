import os

import pytest

from int4_conformer.errors import UserError
from int4_conformer.processes import side_by_side


def doubled(number):
    if number < 0:
        os._exit(1)
    return 2 * number


def test_results_come_with_their_tasks():
    assert list(side_by_side(doubled, [3, 1], 1)) == [(3, 6), (1, 2)]
    assert list(side_by_side(doubled, [], 2)) == []
    assert sorted(side_by_side(doubled, [3, 1, 2], 2)) == [(1, 2), (2, 4), (3, 6)]


def test_a_process_that_was_ended_is_told():
    with pytest.raises(UserError, match="give the command again to go on, with fewer --processes"):
        list(side_by_side(doubled, [-1, -2], 2))
