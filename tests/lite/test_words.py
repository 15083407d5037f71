import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from int4_conformer import interface
from int4_conformer.lite.words import Token, WordAssembler, read_tokens, timed_words
from int4_conformer.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(pieces=("<blank>", "\u2581", "a", "b", "\u2581c"))


def test_words_are_timed_by_their_tokens():
    said = [(2, 3, 0.9), (3, 3, 0.5), (1, 5, 0.1), (3, 7, 0.8), (4, 9, 0.7), (2, 11, 0.75)]
    tokens = [Token(id=i, frame=t, log_prob=math.log(p)) for i, t, p in said]
    words = timed_words(VOCABULARY, tokens, 0.04)
    assert [word.text for word in words] == ["ab", "b", "ca"]
    # The space, however doubtful, belongs to no word.
    assert [word.confidence for word in words] == pytest.approx([0.45**0.5, 0.8, 0.525**0.5])
    times = [(word.start, word.end) for word in words]
    np.testing.assert_allclose(times, [(0.12, 0.16), (0.28, 0.32), (0.36, 0.48)])
    shortened = timed_words(VOCABULARY, tokens, 0.04, duration=0.37)
    assert (shortened[2].start, shortened[2].end) == (0.36, 0.37)


def test_no_tokens_are_no_words():
    assert timed_words(VOCABULARY, [], 0.04) == ()


@pytest.mark.parametrize("batch", [[], [1]], ids=["utterance", "batch"])
def test_tokens_of_a_signature(batch):
    outputs = {
        interface.TOKENS: np.reshape(np.int32([2, 3, 0]), [*batch, 3]),
        interface.COUNT: np.reshape(np.int32(2), batch),
        interface.FRAMES: np.reshape(np.int32([0, 4, 0]), [*batch, 3]),
        interface.LOG_PROBS: np.reshape(np.float32([-0.5, -1, 0]), [*batch, 3]),
    }
    assert read_tokens(outputs) == [
        Token(id=2, frame=0, log_prob=-0.5),
        Token(id=3, frame=4, log_prob=-1.0),
    ]


# Also a token that ends a word and begins another.
ODD = Vocabulary(pieces=(*VOCABULARY.pieces, "a\u2581b"))


@hypothesis.given(
    ids=strategies.lists(strategies.integers(0, ODD.size - 1), max_size=30),
    size=strategies.integers(1, 7),
)
@hypothesis.settings(deadline=None)
def test_words_that_grow_are_those_of_all_tokens(ids, size):
    tokens = [Token(id=i, frame=t, log_prob=-0.1 * t) for t, i in enumerate(ids)]
    assembler = WordAssembler(ODD, 0.04)
    for end in range(0, len(tokens) + size, size):
        assembler.add(tokens[max(0, end - size) : end])
        heard, following = tokens[:end], tokens[end : end + 2]
        assert assembler.words_with() == timed_words(ODD, heard, 0.04)
        assert assembler.text() == ODD.detokenize(token.id for token in heard)
        assert assembler.text(following) == ODD.detokenize(token.id for token in heard + following)


def test_whole_words_are_not_spelled_again(monkeypatch):
    assembler, spelled = WordAssembler(VOCABULARY, 0.04), []
    words = Vocabulary.words

    def counted(vocabulary, ids):
        ids = list(ids)
        spelled.append(len(ids))
        return words(vocabulary, ids)

    monkeypatch.setattr(Vocabulary, "words", counted)
    for frame in range(300):
        assembler.add([Token(id=(1, 2, 3)[frame % 3], frame=frame, log_prob=-1.0)])
        assembler.text()
    assert max(spelled) < 8
    assert assembler.text() == " ".join(["ab"] * 100)
