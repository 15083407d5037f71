import json

import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import tokenizer_from_config

TEXTS = ["hello world", "", "don't", "a", "zoo keeper's"]


def test_default_charset():
    graphemes = Graphemes()
    assert graphemes.vocabulary.pieces[:5] == ("<blank>", "▁", "'", "a", "b")
    assert graphemes.vocabulary.size == 29
    assert graphemes.encode("a b'z") == [3, 1, 4, 2, 28]


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(text):
    graphemes = Graphemes()
    assert graphemes.vocabulary.detokenize(graphemes.encode(text)) == text


def test_charset_of_a_corpus_is_sorted_and_has_the_space():
    assert Graphemes.from_texts(["zebra", "año"]).charset == " abeorzñ"
    with pytest.raises(UserError, match="hold no character"):
        Graphemes.from_texts([""])


@pytest.mark.parametrize("charset", [Graphemes().charset, "zñ ya日😀'bcdefghijklmnopqrstuvwx"])
def test_graph_gives_the_same_ids(charset):
    graphemes = Graphemes(charset=charset)
    texts = [*TEXTS, charset, charset[::-1]]
    ids = tf.function(graphemes.encode_tf)(tf.constant(texts))
    assert ids.dtype == tf.int32
    assert ids.to_list() == [graphemes.encode(text) for text in texts]


def test_graph_encodes_an_empty_batch():
    assert Graphemes().encode_tf(tf.constant([], tf.string)).to_list() == []


def test_names_the_unknown_symbol_and_the_text():
    with pytest.raises(UserError, match="symbol 'é' of the text 'café'"):
        Graphemes().encode("café")


@pytest.mark.parametrize("text", ["café", "A", "\x01"])
def test_graph_refuses_unknown_symbols(text):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in the vocabulary"):
        tf.function(Graphemes().encode_tf)(tf.constant(["fine", text]))


def test_survives_json():
    graphemes = Graphemes(charset=" xyz")
    config = json.loads(json.dumps(graphemes.to_config()))
    assert tokenizer_from_config(config) == graphemes


@pytest.mark.parametrize(
    ("charset", "message"),
    [("", "at least one"), ("aba", "Received: 'aba'"), ("a▁", "stands for the space")],
)
def test_refuses_bad_charsets(charset, message):
    with pytest.raises(UserError, match=message):
        Graphemes(charset=charset)
