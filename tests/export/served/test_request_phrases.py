import pytest
import tensorflow as tf

from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.decoding.phrase_tables import NO_SYMBOL
from int4_conformer.export.served.request_phrases import PhraseReader
from int4_conformer.search.phrase_automaton import phrase_symbols
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.normalize import normalize
from int4_conformer.text.wordpieces import Wordpieces

TEXTS = [normalize(utterance.text) for utterance in synthetic_corpus("train", 60)]
TOKENIZERS = [Graphemes(), Wordpieces.train(TEXTS, 60)]
ODD = ["Don’t!", "'tis", "U.S.A.", "e-mail [noise] <unk>", "  two\t words ", "[x] y", "a.b.c"]


def reader(tokenizer):
    spec = tf.TensorSpec([None, None], tf.string)
    return tf.function(PhraseReader(tokenizer), input_signature=[spec], autograph=False)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["graphemes", "wordpieces"])
def test_pieces_are_those_of_the_tokenizer(tokenizer):
    given = [text.upper() + "!" for text in TEXTS]
    found = reader(tokenizer)(tf.constant([given])).symbols[0].numpy()
    for text, row in zip(TEXTS, found.tolist(), strict=True):
        expected = phrase_symbols(tokenizer.encode(text), tokenizer.vocabulary)
        assert row[: len(expected)] == expected
        assert set(row[len(expected) :]) <= {NO_SYMBOL}


def test_they_are_normalised_as_texts_are():
    tokenizer = Graphemes()
    found = reader(tokenizer)(tf.constant([ODD]))
    assert found.error.numpy().tolist() == [b""]
    for phrase, row in zip(ODD, found.symbols[0].numpy().tolist(), strict=True):
        expected = phrase_symbols(tokenizer.encode(normalize(phrase)), tokenizer.vocabulary)
        assert [symbol for symbol in row if symbol != NO_SYMBOL] == expected, phrase


def test_symbols_that_nobody_knows():
    found = reader(Graphemes())(tf.constant([["a", "Żółw", "7"], ["", "b", ""]]))
    assert [error.decode() for error in found.error.numpy()] == [
        "The phrase 'żółw' has a symbol that is not in the vocabulary.",
        "",
    ]
    assert not (found.symbols[0, 1:].numpy() != NO_SYMBOL).any()


def test_no_phrases():
    found = reader(Graphemes())(tf.constant([[""], [" "]]))
    assert not (found.symbols.numpy() != NO_SYMBOL).any()
    assert found.error.numpy().tolist() == [b"", b""]
