"""Words with their times, as a recogniser's tokens tell them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from int4_conformer import interface
from int4_conformer.search.grammar import Match
from int4_conformer.search.time_synchronous import Token
from int4_conformer.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word of an utterance."""

    text: str
    # Seconds from the start of the utterance, of the frames that emitted its first token and its
    # last one. A transducer says a token when it has heard enough of it: words begin a little
    # before.
    start: float
    end: float
    # The geometric mean of its tokens' probabilities, in [0, 1]: the model's, whatever phrases and
    # language models added to the score.
    confidence: float


def words_json(words: Sequence[Word]) -> list[dict[str, str | float]]:
    """Words as objects of JSON, times to a millisecond."""
    return [
        {
            "text": word.text,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in words
    ]


def later(word: Word, seconds: float) -> Word:
    """The word, so much later."""
    return dataclasses.replace(word, start=word.start + seconds, end=word.end + seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a recording was cut that is longer than one call hears."""

    # From the start of the recording.
    seconds: float
    # Whether in a pause; else within an overlap of two parts.
    is_pause: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognition:
    """What was said in an utterance, or in a recording of any length."""

    text: str
    words: tuple[Word, ...]
    # By which a beam search ranks it: the logarithm of its probability, with what phrases and
    # language model have added; None of greedy search, and of more than one call hears.
    score: float | None = None
    # What else may have been said, the best first, of a beam search that was asked for several.
    alternatives: tuple["Recognition", ...] = ()
    # Which phrase of a closed list it is, and what the slots of that hold.
    match: Match | None = None
    # Where it was cut.
    cuts: tuple[Cut, ...] = ()


def read_tokens(outputs: Mapping[str, np.ndarray]) -> list[Token]:
    """The tokens in a signature's outputs of one utterance, with or without a batch dimension."""
    count = int(np.squeeze(outputs[interface.COUNT]))
    names = interface.TOKENS, interface.FRAMES, interface.LOG_PROBS
    columns = (np.ravel(outputs[name])[:count] for name in names)
    return [
        Token(id=int(token), frame=int(frame), log_prob=float(log_prob))
        for token, frame, log_prob in zip(*columns, strict=True)
    ]


def timed_words(
    vocabulary: Vocabulary,
    tokens: Sequence[Token],
    frame_seconds: float,
    duration: float = math.inf,
) -> tuple[Word, ...]:
    """The words that tokens spell.

    The confidence of a word is the geometric mean of its tokens' probabilities: a longer word is
    not less credible for its length, as it would be by their product. It told wrong words from
    right ones better than the product and the least probability did (BUILD_NOTES.md).

    Args:
      vocabulary: what the tokens mean.
      tokens: of an utterance, from its start.
      frame_seconds: from one encoder frame to the next.
      duration: of the utterance in seconds, which no word outlasts; frames may.
    """
    words = []
    for spelled in vocabulary.words(token.id for token in tokens):
        said = [tokens[place] for place in spelled.places]
        words.append(
            Word(
                text=spelled.text,
                start=min(said[0].frame * frame_seconds, duration),
                end=min((said[-1].frame + 1) * frame_seconds, duration),
                confidence=math.exp(sum(token.log_prob for token in said) / len(said)),
            )
        )
    return tuple(words)


class WordAssembler:
    """Assembles the words of tokens that come bit by bit.

    Words that are whole are kept as such: what a few more tokens cost does not grow with the
    utterance.

    Args:
      vocabulary: what the tokens mean.
      frame_seconds: from one encoder frame to the next.
    """

    def __init__(self, vocabulary: Vocabulary, frame_seconds: float) -> None:
        self._vocabulary = vocabulary
        self._frame_seconds = frame_seconds
        self._whole: list[Word] = []
        # From the first token of the last word on.
        self._open: list[Token] = []

    def add(self, tokens: Sequence[Token]) -> None:
        """Takes the tokens that follow."""
        self._open += tokens
        *before, last = self._vocabulary.words(token.id for token in self._open) or [None]
        # A token may hold the end of one word and the beginning of the next.
        if before and before[-1].places[-1] < (begin := last.places[0]):
            self._whole += timed_words(self._vocabulary, self._open[:begin], self._frame_seconds)
            self._open = self._open[begin:]

    def words_with(self, following: Sequence[Token] = ()) -> tuple[Word, ...]:
        """All words, and those of tokens that may follow; the last one may go on."""
        open_tokens = [*self._open, *following]
        return (*self._whole, *timed_words(self._vocabulary, open_tokens, self._frame_seconds))

    def text(self, following: Sequence[Token] = ()) -> str:
        """The text of all words, and of tokens that may follow."""
        open_text = self._vocabulary.detokenize(token.id for token in (*self._open, *following))
        return " ".join([*(word.text for word in self._whole), *filter(None, [open_text])])
