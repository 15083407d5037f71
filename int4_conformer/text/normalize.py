"""One spelling for every transcript, before training and before scoring."""

import re
import unicodedata
from collections.abc import Callable

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

# Languages with rules of case of their own; "" is any other.
LOCALES = ("", "tr", "az")

# In Turkish and Azerbaijani, I without a dot and I with one are two letters.
_DOTLESS = str.maketrans({"I": "\u0131", "\u0130": "i"})

# Quotation marks and dashes of print, as keyboards have them; the mark of a space that vocabularies
# have is none of a text.
_PLAIN = _APOSTROPHES | str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015", "-")
    | {"\u2581": " "}
)

# Lower case of the Turkish capital I with a dot, which is an "i".
_DOTTED_I = re.compile("i\u0307+")


def normalize(text: str, locale: str = "", *, keep_markers: bool = False) -> str:
    """Lower-case words separated by single spaces.

    NFKC unicode; apostrophes survive inside words; a dot between two letters vanishes; markers in
    square or pointed brackets go with what is in them; hyphens, symbols and all other punctuation
    become spaces. Normalising twice changes nothing.

    Args:
        text: any.
        locale: one of `LOCALES`, whose rules of case hold.
        keep_markers: whether a marker stays, as a word of its own.
    """
    return _beside_markers(_words, _composed(text, locale), keep_markers)


def as_written(text: str, *, keep_markers: bool = False) -> str:
    """A text with its case and punctuation, in the characters of a keyboard.

    NFKC unicode; quotation marks, apostrophes and dashes of print become plain ones, and what lies
    between words one space; markers go as in `normalize`. Writing twice changes nothing.
    """
    return _beside_markers(_plain, _seen(text), keep_markers)


def markers(text: str) -> list[str]:
    """What `normalize` takes for markers of what is not a word, such as "[noise]"."""
    return _MARKER.findall(_composed(text))


def _beside_markers(write: Callable[[str], str], text: str, keep: bool) -> str:
    """A text written but for its markers, which are words without a space in them, or go."""
    if not keep:
        return write(_MARKER.sub(" ", text))
    between = map(write, _MARKER.split(text))
    symbols = ["_".join(_composed(marker).split()) for marker in _MARKER.findall(text)]
    parts = [part for pair in zip(between, [*symbols, ""], strict=True) for part in pair]
    return " ".join(filter(None, parts))


def _words(text: str) -> str:
    text = _DOT_IN_WORD.sub("", text)
    return " ".join(_APOSTROPHE_AT_EDGE.sub(" ", "".join(map(_spoken, text))).split())


def _plain(text: str) -> str:
    text = "".join(" " if unicodedata.category(x) == "Cc" else x for x in text)
    return " ".join(text.translate(_PLAIN).split())


def _seen(text: str) -> str:
    """Composed, without characters that are not seen."""
    return unicodedata.normalize("NFKC", _without_unseen(_compatible(text)))


def _composed(text: str, locale: str = "") -> str:
    """Lower case, composed, without characters that are not seen."""
    text = _compatible(text)
    if locale:
        text = text.translate(_DOTLESS)
    # Lower case can leave a string that is not composed.
    return unicodedata.normalize("NFKC", _DOTTED_I.sub("i", _without_unseen(text.lower())))


def _compatible(text: str) -> str:
    # Apostrophes before NFKC, which would take the acute accent apart into a space and a combining
    # mark.
    return unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))


def _without_unseen(text: str) -> str:
    # One that stood between a letter and its accent would have kept them apart.
    return "".join(character for character in text if not _is_unseen(character))


def _spoken(character: str) -> str:
    """The character where it is part of a word, else a space."""
    kind = unicodedata.category(character)
    return " " if character != "'" and (kind[0] in "PSZ" or kind == "Cc") else character


def _is_unseen(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] == "C" and kind != "Cc"
