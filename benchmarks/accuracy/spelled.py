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
_DIGITS = re.compile(r"(\d+)(?:st|nd|rd|th)?")
_PARTS = re.compile(r"\d+(?:st|nd|rd|th)?|[^\W\d]+")


def spelled(text: str) -> str:
    """Letters and digits one by one, numbers as digits, other words in lower case.

    Args:
        text: as it was heard. Words in capitals are taken for letters.

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
        word = words[place]
        place += 1
        if found := _DIGITS.fullmatch(word):
            yield found[1]
            continue
        if word not in _NUMBERS and word != "hundred":
            yield word
            continue
        value = 1 if word == "hundred" else _NUMBERS[word]
        following = _NUMBERS.get(words[place], 0) if place < len(words) else 0
        if value >= 20 and value % 10 == 0 and word not in _ORDINALS and 0 < following < 10:
            value += following
            place += 1
        if word == "hundred" or words[place : place + 1] == ["hundred"]:
            place += word != "hundred"
            value *= 100
        yield str(value)
