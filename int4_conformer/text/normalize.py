"""One spelling for every transcript, before training and before scoring."""

import re
import unicodedata

# Typographic apostrophes and the modifier letter that some keyboards write for them.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u0060\u00b4", "'"))

# Kept between two characters of a word ("don't"), never at its edge.
_APOSTROPHE_AT_EDGE = re.compile(r"(?<![^\s'])'|'(?![^\s'])")

# The dots of "u.s." and "3.5" join what they stand between; other punctuation parts it.
_DOT_IN_WORD = re.compile(r"(?<=\w)\.(?=\w)")


def normalize(text: str) -> str:
    """Lower-case words separated by single spaces.

    NFKC unicode; apostrophes survive inside words; a dot inside a word vanishes; hyphens, symbols
    and all other punctuation become spaces. Normalising twice changes nothing.
    """
    # Before NFKC, which would take the acute accent apart into a space and a combining mark.
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
    # Lower case can leave a string that is not composed.
    text = unicodedata.normalize("NFKC", text.lower())
    text = "".join(map(_spoken, _DOT_IN_WORD.sub("", text)))
    return " ".join(_APOSTROPHE_AT_EDGE.sub(" ", text).split())


def _spoken(character: str) -> str:
    """The character where it is part of a word, a space where it parts words, else nothing."""
    if character == "'":
        return character
    kind = unicodedata.category(character)
    if kind[0] in "PSZ" or kind == "Cc":
        return " "
    return "" if kind[0] == "C" else character
