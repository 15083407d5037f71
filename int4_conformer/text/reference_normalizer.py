"""What counts as a word, and as the same one, where a reference is compared with what was heard."""

import re
from typing import Literal, get_args

from int4_conformer.errors import require_one_of
from int4_conformer.text.normalize import as_written
from int4_conformer.text.spoken_numbers import LARGEST, spoken_number
from int4_conformer.text.writing import Writing

Normalizer = Literal["words", "characters", "numbers", "as_written"]

# Commas between groups of digits, as in "1,125".
_COMMA_IN_NUMBER = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?<!\S)[0-9]+(?!\S)")


def compared(text: str, normalizer: Normalizer, writing: Writing) -> str:
    """The words of a text that count, separated by single spaces.

    Args:
        text: what was said, or what was heard.
        normalizer: `words`, without case and punctuation; `characters`, each of which is taken for
            a word, where words have no spaces between them; `numbers`, words, with whole numbers
            as English speakers say them; `as_written`, with case and punctuation.
        writing: how the recogniser writes, whose rules of case hold.

    Raises:
        UserError: there is no such normalizer.

    Example:

        >>> compared("Take 1,125 steps.", "numbers", Writing())
        'take one thousand one hundred twenty five steps'
    """
    require_one_of(get_args(Normalizer), normalizer=normalizer)
    if normalizer == "as_written":
        return as_written(text)
    if normalizer == "numbers":
        text = _COMMA_IN_NUMBER.sub("", text)
        return _NUMBER.sub(lambda found: _spoken(found[0]), writing.words_of(text))
    words = writing.words_of(text)
    return " ".join(words.replace(" ", "")) if normalizer == "characters" else words


def _spoken(digits: str) -> str:
    """A number in words; one by one the digits of those that are none to count with, as 007."""
    if len(digits) <= len(str(LARGEST)) and str(int(digits)) == digits:
        return spoken_number(int(digits))
    return " ".join(spoken_number(int(digit)) for digit in digits)
