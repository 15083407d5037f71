"""How wide a text is where all letters have one width, as on a terminal."""

import unicodedata


def columns(text: str) -> int:
    """Columns that a text takes: two for each wide letter, as of Chinese, none for marks on others.

    Example:

        >>> columns("speech"), columns("語音"), columns("e\\u0301")
        (6, 4, 1)
    """
    return sum(_of(letter) for letter in text)


def last_columns(text: str, most: int) -> str:
    """The end of a text that takes so many columns at most.

    Example:

        >>> last_columns("speech", 3), last_columns("語音", 3)
        ('ech', '音')
    """
    start = len(text)
    while start and (most := most - _of(text[start - 1])) >= 0:
        start -= 1
    return text[start:]


def _of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
