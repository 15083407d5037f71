"""The words of parts that overlap, joined to those of the whole."""

import dataclasses
from collections.abc import Sequence

from int4_conformer.lite.words import Word, WordAssembler
from int4_conformer.search.time_synchronous import Token
from int4_conformer.text.vocabulary import Vocabulary

# Seconds by which the same token may come earlier or later in another part, which knows less of
# what was said before, or of what follows.
_SAME_SECONDS = 0.2


class JoinedWords:
    """Takes the tokens of one part after the other.

    Two parts that overlap are joined in the middle of the longest run of tokens that both have, at
    the same times. Where they have none in common, words that begin in the first half of the
    overlap are those of the earlier part, the others those of the later one.

    Args:
        vocabulary: what the tokens mean.
        frame_seconds: from one encoder frame to the next.
    """

    def __init__(self, vocabulary: Vocabulary, frame_seconds: float) -> None:
        self._vocabulary = vocabulary
        self._frame_seconds = frame_seconds
        self._words: list[Word] = []
        self._assembler = WordAssembler(vocabulary, frame_seconds)
        # Of the last part, what the next one may take the place of.
        self._last: list[Token] = []

    def add(self, tokens: Sequence[Token], start: int, overlap: int) -> None:
        """Takes the tokens of the next part.

        Args:
            tokens: with frames from its start on.
            start: its first frame.
            overlap: frames that the part before it has, too.
        """
        tokens = [dataclasses.replace(token, frame=token.frame + start) for token in tokens]
        if not overlap:
            self._close(len(self._last))
            self._last = tokens
            return
        near = _SAME_SECONDS / self._frame_seconds
        end = start + overlap
        first = sum(token.frame < start - near for token in self._last)
        both = _common_run(self._last[first:], [t for t in tokens if t.frame < end + near], near)
        if both is not None:
            kept, skipped = first + both[0], both[1]
            self._assembler.add(self._last[:kept])
        else:
            middle = start + overlap // 2
            kept, skipped = self._word_at(self._last, middle), self._word_at(tokens, middle)
            self._close(kept)
        self._last = tokens[skipped:]

    def words(self) -> tuple[Word, ...]:
        """All words, with their times from the start of the whole."""
        self._close(len(self._last))
        return tuple(self._words)

    def _close(self, kept: int) -> None:
        """Takes so many tokens of the last part, and ends the word that they may be in."""
        self._assembler.add(self._last[:kept])
        self._last = []
        self._words += self._assembler.words_with()
        self._assembler = WordAssembler(self._vocabulary, self._frame_seconds)

    def _word_at(self, tokens: Sequence[Token], frame: int) -> int:
        """The place of the first token of the first word that begins at a frame or later."""
        for word in self._vocabulary.words(token.id for token in tokens):
            if tokens[word.places[0]].frame >= frame:
                return word.places[0]
        return len(tokens)


def _common_run(
    before: Sequence[Token], after: Sequence[Token], near: float
) -> tuple[int, int] | None:
    """Where to go from some tokens to others: in the middle of their longest common run.

    Args:
        before: tokens of the earlier part.
        after: of the later one.
        near: frames by which the same token may differ.

    Returns:
        how many of `before` stay, and how many of `after` are left out; None if none is common.
    """
    longest, found = 0, None
    # By the place in `after`, of the run that ends there.
    lengths = [0] * (len(after) + 1)
    for kept, token in enumerate(before, start=1):
        previous, lengths = lengths, [0] * (len(after) + 1)
        for skipped, other in enumerate(after, start=1):
            if token.id == other.id and abs(token.frame - other.frame) <= near:
                lengths[skipped] = length = previous[skipped - 1] + 1
                if length > longest:
                    longest, found = length, (kept, skipped)
    if found is None:
        return None
    back = longest // 2
    return found[0] - back, found[1] - back
