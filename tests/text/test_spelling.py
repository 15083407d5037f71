import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.wordpieces import Wordpieces
from tests.support.examples import examples

TEXTS = ["turn on the light", "turn off the radio", "the time is nine", "one two three", "it's on"]
PIECES = Wordpieces.train(TEXTS * 3, 25)
LETTERS = Graphemes()


def spelling_of(tokenizer):
    return Spelling(
        vocabulary=tokenizer.vocabulary,
        piece_scores=tokenizer.piece_scores,
        marks_first_word=tokenizer.marks_first_word,
    )


@settings(deadline=None, max_examples=examples(100))
@given(st.text("adefhilmnorstuw'", max_size=6), st.lists(st.sampled_from(" ".join(TEXTS).split())))
def test_texts_are_spelled_as_the_tokenizer_spells_them(word, words):
    text = " ".join([*words, word]).strip()
    for tokenizer in (PIECES, LETTERS):
        assert spelling_of(tokenizer).encode(text) == tokenizer.encode(text)


def test_one_way_to_spell_needs_no_scores():
    assert Spelling(vocabulary=LETTERS.vocabulary).encode("it's on") == LETTERS.encode("it's on")


@pytest.mark.parametrize("tokenizer", [PIECES, LETTERS])
def test_unknown_symbols(tokenizer):
    with pytest.raises(UserError, match="The symbol '7' of the text 'on 7' is not in the"):
        spelling_of(tokenizer).encode("on 7")
