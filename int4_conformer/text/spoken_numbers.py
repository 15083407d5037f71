"""How English speakers say whole numbers."""

from collections.abc import Sequence

from int4_conformer.errors import UserError

LARGEST = 999_999
_SMALL = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * tens for tens, word in enumerate(_TENS, 2)
}
# Of the longest number.
MOST_WORDS = 9


def spoken_number(number: int) -> str:
    """The words of a number from 0 to 999,999, without "and".

    Raises:
        UserError: the number is outside of that.

    Example:

        >>> spoken_number(1125)
        'one thousand one hundred twenty five'
    """
    if not 0 <= number <= LARGEST:
        raise UserError(f"Numbers are spelled from 0 to {LARGEST:,}. Received: {number}")
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _joined(_TENS[tens - 2], rest)
    unit, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    count, rest = divmod(number, unit)
    return _joined(f"{spoken_number(count)} {name}", rest)


def number_of(words: Sequence[str]) -> int | None:
    """The inverse of `spoken_number`; None of what it does not write.

    Example:

        >>> number_of("one thousand one hundred twenty five".split()), number_of(["five", "ten"])
        (1125, None)
    """
    thousands, rest = 0, 0
    for word in words:
        if word == "thousand":
            thousands, rest = 1000 * rest, 0
        elif word == "hundred":
            rest *= 100
        else:
            rest += _VALUES.get(word, 0)
    number = thousands + rest
    is_written_so = number <= LARGEST and spoken_number(number).split() == list(words)
    return number if is_written_so else None


def _joined(words: str, rest: int) -> str:
    return f"{words} {spoken_number(rest)}" if rest else words
