"""One spelling for every transcript, before training and before scoring."""

import re
import unicodedata

# Typographic apostrophes and the modifier letter that some keyboards write for them.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u0060\u00b4", "'"))

# Kept between two characters of a word ("don't"), never at its edge.
_APOSTROPHE_AT_EDGE = re.compile(r"(?<![^\s'])'|'(?![^\s'])")

# The dots of "u.s." join the letters that they stand between. Other punctuation parts, and so does
# a dot beside a digit: 3.5 is not 35.
_DOT_IN_WORD = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_])")

# What corpora write for what is not a word: "[noise]", "<unk>", "[door slams]". Words in
# parentheses are words, and "a < b" is no marker.
_MARKER = re.compile(r"\[(?=\S)[^\[\]]*(?<=\S)\]|<(?=\S)[^<>]*(?<=\S)>")

# Lower case of the Turkish capital I with a dot, which is an "i".
_DOTTED_I = re.compile("i\u0307+")


def normalize(text: str) -> str:
    """Lower-case words separated by single spaces.

    NFKC unicode; apostrophes survive inside words; a dot between two letters vanishes; markers in
    square or pointed brackets go with what is in them; hyphens, symbols and all other punctuation
    become spaces. Normalising twice changes nothing.
    """
    text = _DOT_IN_WORD.sub("", _MARKER.sub(" ", _composed(text)))
    return " ".join(_APOSTROPHE_AT_EDGE.sub(" ", "".join(map(_spoken, text))).split())


def markers(text: str) -> list[str]:
    """What `normalize` takes for markers of what is not a word, such as "[noise]"."""
    return _MARKER.findall(_composed(text))


def _composed(text: str) -> str:
    """Lower case, composed, without characters that are not seen."""
    # Before NFKC, which would take the acute accent apart into a space and a combining mark.
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    # One that stood between a letter and its accent would have kept them apart.
    text = "".join(character for character in text if not _is_unseen(character))
    # Lower case can leave a string that is not composed.
    return unicodedata.normalize("NFKC", _DOTTED_I.sub("i", text))


def _spoken(character: str) -> str:
    """The character where it is part of a word, else a space."""
    kind = unicodedata.category(character)
    return " " if character != "'" and (kind[0] in "PSZ" or kind == "Cc") else character


def _is_unseen(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] == "C" and kind != "Cc"
