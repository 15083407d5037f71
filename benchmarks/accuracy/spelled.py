"""Letters and numbers as they are spelled, however a recogniser writes them."""

import re
from collections.abc import Iterator

from int4_conformer.text.spoken_numbers import spoken_number

_UNITS = tuple(spoken_number(number) for number in range(20))
_TENS = tuple(spoken_number(number) for number in range(20, 100, 10))
_ORDINALS = {
    **{f"{_UNITS[n]}th": n for n in (4, 6, 7, *range(10, 20))},
    **{f"{tens[:-1]}ieth": 10 * n for n, tens in enumerate(_TENS, 2)},
    "first": 1,
    "second": 2,
    "third": 3,
    "fifth": 5,
    "eighth": 8,
    "ninth": 9,
    "twelfth": 12,
}
_NUMBERS = {
    **{word: n for n, word in enumerate(_UNITS)},
    **{word: 10 * n for n, word in enumerate(_TENS, 2)},
    **_ORDINALS,
    "oh": 0,
}
_SCALES = {"hundred": 100, "thousand": 1000}
_DIGITS = re.compile(r"(\d+)(?:st|nd|rd|th)?")
_PARTS = re.compile(r"\d+(?:st|nd|rd|th)?|[^\W\d]+")


def spelled(text: str) -> str:
    """Letters and digits one by one, numbers as digits, other words in lower case.

    Args:
        text: as it was heard. Words in capitals are taken for letters, "OK" as well.

    Example:

        >>> spelled("VADR 3107.")
        'v a d r 3 1 0 7'
        >>> spelled("v a d r thirty one oh seven") == spelled("VADR 3107.")
        True
    """
    parts = []
    for part in _PARTS.findall(text.replace("'", "")):
        parts += part.lower() if part.isupper() else [part.lower()]
    words = []
    for part in _numbered(parts):
        words += part if part.isdigit() else [part]
    return " ".join(words)


def _numbered(words: list[str]) -> Iterator[str]:
    """The words, numbers among them as digits."""
    place = 0
    while place < len(words):
        if found := _DIGITS.fullmatch(words[place]):
            yield found[1]
            place += 1
        elif words[place] in _NUMBERS or words[place] in _SCALES:
            value, place = _number(words, place)
            yield str(value)
        else:
            yield words[place]
            place += 1


def _number(words: list[str], place: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it: "nine hundred five" is one,
    "nine five" are two."""
    total, value, scale = 0, None, None
    while place < len(words):
        word = words[place]
        if word in _SCALES:
            value = (1 if value is None else value) * _SCALES[word]
            if word == "thousand":
                total, value = total + value, 0
            scale = _SCALES[word]
        elif word in _NUMBERS and (value is None or _goes_on(value, scale, word)):
            value = (value or 0) + _NUMBERS[word]
            if word in _ORDINALS:
                return total + value, place + 1
        else:
            break
        place += 1
    return total + (value or 0), place


def _goes_on(value: int, scale: int | None, word: str) -> bool:
    """Whether a word is part of the number before it."""
    if scale is not None and value % scale == 0:
        # "Nine hundred oh five" is two numbers.
        return word != "oh"
    return value % 100 >= 20 and value % 10 == 0 and 0 < _NUMBERS[word] < 10
