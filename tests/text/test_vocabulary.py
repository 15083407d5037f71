import json

import pytest

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
        (("<blank>", "a", "b", "a"), "Received 'a' more than once"),
    ],
)
def test_refuses_bad_pieces(pieces, message):
    with pytest.raises(UserError, match=message):
        Vocabulary(pieces=pieces)
