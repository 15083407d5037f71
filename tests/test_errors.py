import math

import pytest

from int4_conformer import errors
from int4_conformer.errors import UserError

NAN = math.nan


@pytest.mark.parametrize(
    ("check", "accepted", "refused", "message"),
    [
        (lambda x: errors.require_at_least(1, x=x), [1, 2.5], [0, 0.5, NAN], "be at least 1"),
        (lambda x: errors.require_positive(x=x), [1, 1e-9], [0, -1, NAN], "be positive"),
        (lambda x: errors.require_not_negative(x=x), [0, math.inf], [-1, NAN], "not be negative"),
        (lambda x: errors.require_finite(x=x), [0, -1e9], [math.inf, -math.inf, NAN], "be finite"),
        (lambda x: errors.require_in("[0, 1]", x=x), [0, 1], [-1, 1.1, NAN], r"be in \[0, 1\]"),
        (lambda x: errors.require_in("[0, 1)", x=x), [0, 0.9], [-1, 1, NAN], r"be in \[0, 1\)"),
        (lambda x: errors.require_one_of(("a", "b"), x=x), ["a"], ["c", 3], "be one of a, b"),
    ],
)
def test_what_is_refused(check, accepted, refused, message):
    for value in accepted:
        check(value)
    for value in refused:
        with pytest.raises(UserError, match=rf"^`x` must {message}\. Received: x={value!r}$"):
            check(value)


def test_the_first_that_is_refused_is_named():
    with pytest.raises(UserError, match="Received: b=0"):
        errors.require_positive(a=1, b=0, c=-1)


@pytest.mark.parametrize(
    ("given", "prefix", "end"),
    [
        ("tinny", "", " (did you mean tiny?)"),
        ("tinny", "--", " (did you mean --tiny?)"),
        ("nosuch", "", ""),
        ("", "", ""),
    ],
)
def test_the_nearest_name_is_offered(given, prefix, end):
    assert errors.did_you_mean(given, ["large", "tiny"], prefix) == end
