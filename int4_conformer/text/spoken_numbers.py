"""How English speakers say whole numbers."""

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


def _joined(words: str, rest: int) -> str:
    return f"{words} {spoken_number(rest)}" if rest else words
