"""The one exception that speaks to the user, and checks that raise it.

A check takes what the user gave by name: `require_positive(steps=0)` raises

    `steps` must be positive. Received: steps=0

Numbers that are NaN are refused by all.
"""

import difflib
import math
from collections.abc import Collection, Iterable


class UserError(ValueError):
    """A mistake that the user can mend; the command line prints it as one line and exits 2.

    The message is one sentence that names what was received and says what to do.
    """

    # Keras adds the arguments of the call in which it arose to an error that does not say this.
    _keras_call_info_injected = True


def did_you_mean(given: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence that refuses a name: " (did you mean best?)", or nothing.

    Args:
        given: the name.
        known: those that there are.
        prefix: what stands before the one that is shown.
    """
    nearest = difflib.get_close_matches(given, known, n=1)
    return f" (did you mean {prefix}{nearest[0]}?)" if nearest else ""


def require_at_least(least: float, **values: float) -> None:
    """Refuses values below `least`."""
    for name, value in values.items():
        _require(value >= least, name, f"be at least {least}", value)


def require_positive(**values: float) -> None:
    """Refuses values that are not above 0."""
    for name, value in values.items():
        _require(value > 0, name, "be positive", value)


def require_not_negative(**values: float) -> None:
    """Refuses values below 0."""
    for name, value in values.items():
        _require(value >= 0, name, "not be negative", value)


def require_finite(**values: float) -> None:
    """Refuses infinite values."""
    for name, value in values.items():
        _require(math.isfinite(value), name, "be finite", value)


def require_in(interval: str, **values: float) -> None:
    """Refuses values outside an interval: "[0, 1]" or, without its upper end, "[0, 1)"."""
    low, high = map(float, interval[1:-1].split(","))
    for name, value in values.items():
        within = low <= value <= high if interval.endswith("]") else low <= value < high
        _require(within, name, f"be in {interval}", value)


def require_one_of(allowed: Collection[str], **values: str) -> None:
    """Refuses values that are none of those allowed."""
    for name, value in values.items():
        _require(value in allowed, name, f"be one of {', '.join(allowed)}", repr(value))


def _require(holds: bool, name: str, what: str, value: float | str) -> None:
    if not holds:
        raise UserError(f"`{name}` must {what}. Received: {name}={value}")
