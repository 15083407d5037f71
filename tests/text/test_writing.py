import hypothesis
import pytest
from hypothesis import strategies as st

from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.tokenizer import tokenizer_from_config, tokenizer_of
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.text.writing import WORDS, Writing

AS_WRITTEN = Writing(text="as_written")
WRITINGS = [
    Writing(text=text, markers=markers, locale=locale)
    for text in ("words", "as_written")
    for markers in ("drop", "keep")
    for locale in ("", "tr")
]


@pytest.mark.parametrize(
    ("writing", "text", "expected"),
    [
        (AS_WRITTEN, "  It’s “3.5”—yes,\tI\x00know… ", 'It\'s "3.5"-yes, I know...'),
        (AS_WRITTEN, "[Noise] Yes<unk>No.", "Yes No."),
        (AS_WRITTEN, "a ▁ b", "a b"),
        (AS_WRITTEN, "CAFE\u0301", "CAFÉ"),
        (Writing(text="as_written", markers="keep"), "[Door Slams]Hi!", "[door_slams] Hi!"),
        (Writing(markers="keep"), "[Door Slams]Hi, <UNK>!", "[door_slams] hi <unk>"),
        (Writing(markers="keep"), "a < b", "a b"),
        (Writing(locale="tr"), "ILIK İstanbul I\u0307", "ılık istanbul i"),
        (WORDS, "ILIK İstanbul", "ilik istanbul"),
    ],
)
def test_cases(writing, text, expected):
    assert writing.of(text) == expected


@hypothesis.given(writing=st.sampled_from(WRITINGS), text=st.text())
def test_writing_twice_changes_nothing(writing, text):
    once = writing.of(text)
    assert writing.of(once) == once
    assert once == " ".join(once.split())


@hypothesis.given(text=st.text(st.characters(codec="latin-1")))
def test_words_of_what_is_written_are_its_words(text):
    assert AS_WRITTEN.words_of(AS_WRITTEN.of(text)) == WORDS.of(text)


def test_refused():
    with pytest.raises(UserError, match=r"`text` must be one of words, as_written"):
        Writing(text="written")
    with pytest.raises(UserError, match=r"`locale` must be one of , tr, az"):
        Writing(locale="en")


@pytest.mark.parametrize(
    "tokenizer",
    [
        Graphemes(charset=" .Aab"),
        Wordpieces.train(["Aa b.", "b Aa.", "ab [noise] a"], 10, ["[noise]"]),
    ],
    ids=["graphemes", "wordpieces"],
)
def test_tokenizers_keep_it(tokenizer):
    assert "writing" not in tokenizer.to_config()
    cased = type(tokenizer).from_config(tokenizer.to_config() | AS_WRITTEN.to_entry())
    assert tokenizer_from_config(cased.to_config()).writing == AS_WRITTEN
    spelling = Spelling(
        vocabulary=cased.vocabulary,
        piece_scores=cased.piece_scores,
        marks_first_word=cased.marks_first_word,
        writing=cased.writing,
    )
    again = tokenizer_of(Spelling.from_config(spelling.to_config(), spelling.vocabulary))
    assert again.writing == AS_WRITTEN
    assert again.vocabulary == tokenizer.vocabulary
    for text in ("Aa b.", "b. a", ""):
        assert again.encode(text) == tokenizer.encode(text)


def test_a_kept_marker_is_one_piece():
    pieces = Wordpieces.train(["ab [noise] ba", "[noise] b a"], 6, ["[noise]"])
    found = [pieces.vocabulary.pieces[index] for index in pieces.encode("a [noise]")]
    assert "[noise]" in found
