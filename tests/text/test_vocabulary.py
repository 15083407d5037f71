import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(pieces=("<blank>", "▁", "▁hel", "lo", "▁world"))


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([], ""),
        ([0, 0], ""),
        ([2, 3, 4], "hello world"),
        ([0, 2, 0, 3, 0], "hello"),
        ([1, 2, 3, 1, 1, 4, 1], "hello world"),
        ([3, 3], "lolo"),
    ],
)
def test_detokenizes(ids, text):
    assert VOCABULARY.detokenize(ids) == text


def test_words_know_their_tokens():
    words = VOCABULARY.words([3, 1, 1, 2, 0, 3, 4, 1])
    assert [(word.text, word.places) for word in words] == [
        ("lo", (0,)),
        ("hello", (3, 5)),
        ("world", (6,)),
    ]


@given(
    st.lists(st.text("ab \u00a0\u2581", min_size=1, max_size=4), min_size=1, unique=True),
    st.data(),
)
def test_words_are_those_of_the_text(pieces, data):
    vocabulary = Vocabulary(pieces=("<blank>", *pieces))
    ids = data.draw(st.lists(st.integers(0, len(pieces))))
    text = "".join(pieces[i - 1] for i in ids if i).replace("\u2581", " ")
    words = vocabulary.words(ids)
    assert [word.text for word in words] == text.split()
    assert vocabulary.detokenize(ids) == " ".join(text.split())
    for word in words:
        # The letters of a word come from its tokens.
        assert word.text in "".join(pieces[ids[p] - 1] for p in word.places)


@pytest.mark.parametrize("index", [-1, 5])
def test_refuses_ids_of_another_vocabulary(index):
    with pytest.raises(UserError, match=f"id {index} is outside this vocabulary of 5 pieces"):
        VOCABULARY.detokenize([index])


def test_size_and_ids():
    assert VOCABULARY.size == 5
    assert VOCABULARY.blank_id == 0
    assert VOCABULARY.ids["lo"] == 3


def test_survives_json():
    config = json.loads(json.dumps(VOCABULARY.to_config()))
    assert Vocabulary.from_config(config) == VOCABULARY


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((), "must begin with '<blank>'"),
        (("a", "<blank>"), r"Received: \['a', '<blank>'\]"),
        (("<blank>", "a", 3.5), "must be texts. Received: 3.5 among them"),
        (("<blank>", "a", "b", "a"), "Received 'a' more than once"),
    ],
)
def test_refuses_bad_pieces(pieces, message):
    with pytest.raises(UserError, match=message):
        Vocabulary(pieces=pieces)
