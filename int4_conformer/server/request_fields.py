"""Fields of requests, checked: what clients send may be anything."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.files import json_value

# What each type is called.
_CALLED = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}
# Phrases of one request: a search keeps 8 bytes for each letter of them and each token of the
# vocabulary.
_MOST_PHRASES = 1000
_MOST_LETTERS = 20_000


def parsed(content: str | bytes) -> dict[str, Any]:
    """The object of a JSON text.

    Raises:
        UserError: it is none.
    """
    try:
        value = json_value(content)
    except ValueError as error:
        raise UserError("The message must be a JSON object, which this is not.") from error
    if not isinstance(value, dict):
        raise UserError(f"The message must be a JSON object. Received: {_kind(value)}")
    return value


def require_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuses fields that there are not."""
    for name in given:
        if name not in known:
            raise UserError(
                f"There is no field {name[:40]!r}{did_you_mean(name[:40], known)}; the fields are "
                f"{', '.join(known)}."
            )


def field(given: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """A field of a JSON object, or its default where it is not given or null."""
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise UserError(f"`{name}` must be {_CALLED[kind]}. Received: {_kind(value)}")
    if kind is str and not _is_text(value):
        raise UserError(f"`{name}` must be a text. Received: half of a surrogate pair in it")
    return value


def number(given: Mapping[str, Any], name: str, default: float | None) -> float | None:
    """A field that is a number, which may be written as a text, as forms do."""
    value = given.get(name)
    if value is None:
        return default
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"`{name}` must be a number. Received: {str(value)[:40]!r}")
    return found


def whole_number(given: Mapping[str, Any], name: str, default: int) -> int:
    """A field that is a whole number."""
    found = number(given, name, default)
    if found != int(found):
        raise UserError(f"`{name}` must be a whole number. Received: {found:g}")
    return int(found)


def phrases(values: list[Any]) -> list[str]:
    """A list of phrases."""
    if not all(isinstance(value, str) and _is_text(value) for value in values):
        raise UserError("`phrases` must be a list of texts.")
    if len(values) > _MOST_PHRASES or sum(map(len, values)) > _MOST_LETTERS:
        raise UserError(
            f"`phrases` takes {_MOST_PHRASES} phrases of {_MOST_LETTERS} letters in all. Received: "
            f"{len(values)} of {sum(map(len, values))}"
        )
    return [value for value in values if value.strip()]


def _is_text(value: str) -> bool:
    """Whether it can be sent back: JSON can hold halves of surrogate pairs, UTF-8 none."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _kind(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "a number"
    return _CALLED.get(type(value), "null")
