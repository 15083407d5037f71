"""Subtitles of timed words, as SubRip files (.srt) and WebVTT files (.vtt) have them.

A cue is what stands on the screen at a time: at most two lines of 42 columns, at most six seconds.
Cues end where the speaker pauses, else where their words would not fit; then at the longest pause
of their second half.
"""

import dataclasses
import html
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from int4_conformer.lite.words import Word
from int4_conformer.text.columns import columns

Format = Literal["srt", "vtt"]

_LINE_COLUMNS = 42
_MOST_SECONDS = 6.0
# Silence that parts cues.
_PAUSE = 1.0
# A cue stays a little longer than its last word, and long enough to be read.
_LINGER, _LEAST_SECONDS = 0.3, 1.0
# The finest time that the files tell.
_TICK = 0.001


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cue:
    """One subtitle."""

    # Seconds.
    start: float
    end: float
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """A word, or a part of one that is too long for a line."""

    text: str
    start: float
    end: float
    # Whether it goes on the word before it.
    is_glued: bool = False


class Subtitles:
    """Writes the subtitles of one recording, utterance by utterance.

    Args:
      form: "srt" or "vtt".

    Example:

        >>> subtitles = Subtitles("srt")
        >>> word = Word(text="hello", start=0.5, end=1.25, confidence=0.9)
        >>> print(subtitles.head() + subtitles.of([word]), end="")
        1
        00:00:00,500 --> 00:00:01,550
        hello
        <BLANKLINE>
    """

    def __init__(self, form: Format) -> None:
        self._form = form
        self._count = 0
        self._ended = 0.0

    def head(self) -> str:
        """What stands before the first cue."""
        return "WEBVTT\n\n" if self._form == "vtt" else ""

    def of(self, words: Sequence[Word]) -> str:
        """The cues of the words of an utterance, which come after those before."""
        return "".join(map(self._written, cues(words, self._ended)))

    def _written(self, cue: Cue) -> str:
        self._count += 1
        self._ended = cue.end
        if self._form == "vtt":
            # What else would be tags and entities.
            lines = [html.escape(line, quote=False) for line in cue.lines]
            head = f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}"
        else:
            lines = list(cue.lines)
            head = f"{self._count}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}"
        return "\n".join([head, *lines, "", ""])


def cues(words: Sequence[Word], after: float = 0.0) -> list[Cue]:
    """The cues of timed words, one after the other.

    Args:
      words: of an utterance, or of several.
      after: seconds before which none begins.
    """
    groups = list(_groups([piece for word in words for piece in _pieces(word)]))
    starts = [group[0].start for group in groups[1:]]
    found, begin = [], after
    for group, following in itertools.zip_longest(groups, starts, fillvalue=math.inf):
        start, spoken = max(group[0].start, begin), group[-1].end
        end = max(spoken + _LINGER, start + _LEAST_SECONDS)
        end = min(end, max(spoken, start + _MOST_SECONDS), following)
        # Words of one frame begin together.
        begin = max(end, start + _TICK)
        found.append(Cue(start=start, end=begin, lines=_lines(group)))
    return found


def _pieces(word: Word) -> Iterator[_Piece]:
    """The word in parts that fit; where no spaces are written, all of a sentence is one word."""
    seconds, count = word.end - word.start, 1
    if columns(word.text) > _LINE_COLUMNS:
        letters = _LINE_COLUMNS // max(map(columns, word.text))
        count = max(math.ceil(len(word.text) / letters), math.ceil(seconds / _MOST_SECONDS))
    length = math.ceil(len(word.text) / count)
    for begin in range(0, len(word.text), length):
        end = min(begin + length, len(word.text))
        yield _Piece(
            text=word.text[begin:end],
            start=word.start + seconds * begin / len(word.text),
            end=word.start + seconds * end / len(word.text),
            is_glued=begin > 0,
        )


def _groups(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """The pieces of each cue."""
    while pieces:
        count = 1
        while count < len(pieces) and _fits(pieces[: count + 1]):
            count += 1
        if count < len(pieces) and _pause(pieces, count) < _PAUSE:
            # The last of the longest pauses.
            ends = range(count, math.ceil(count / 2) - 1, -1)
            count = max(ends, key=lambda end: _pause(pieces, end))
        yield pieces[:count]
        pieces = pieces[count:]


def _fits(pieces: Sequence[_Piece]) -> bool:
    return (
        pieces[-1].end - pieces[0].start <= _MOST_SECONDS
        and _pause(pieces, len(pieces) - 1) < _PAUSE
        and all(columns(line) <= _LINE_COLUMNS for line in _lines(pieces))
    )


def _pause(pieces: Sequence[_Piece], place: int) -> float:
    """Seconds before the piece of that place."""
    return pieces[place].start - pieces[place - 1].end


def _lines(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    """One line if they fit in it, else two of about the same length."""
    whole = _joined(pieces)
    if columns(whole) <= _LINE_COLUMNS or len(pieces) == 1:
        return (whole,)
    both = [(_joined(pieces[:end]), _joined(pieces[end:])) for end in range(1, len(pieces))]
    return min(both, key=lambda lines: max(map(columns, lines)))


def _joined(pieces: Sequence[_Piece]) -> str:
    parts = ["" if piece.is_glued else " " for piece in pieces]
    return "".join(map(str.__add__, parts, [piece.text for piece in pieces])).strip()


def _time(seconds: float, mark: str) -> str:
    """hh:mm:ss and milliseconds behind a mark."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{mark}{milliseconds:03}"
