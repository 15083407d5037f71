import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.decoding.phrase_tables import NO_SYMBOL, RequestBias
from int4_conformer.search.phrase_automaton import phrase_symbols
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.wordpieces import Wordpieces
from tests.support.examples import examples

GRAPHEMES = Graphemes(charset=" ab")
PIECES = Wordpieces.train(["ab ab ba", "a b", "aab aaba", "ab ba a", "b"] * 4, vocab_size=8)
LISTS = [
    ["a"],
    ["ab"],
    ["a b", "a", "b a"],
    ["ab ab ba", "ab ba", "ba", "ba a"],
    ["a a a b", "a a", "a a a a"],
    ["aab", "aaba", "b"],
]


def symbols_of(phrases, tokenizer, length=16):
    rows = [phrase_symbols(tokenizer.encode(phrase), tokenizer.vocabulary) for phrase in phrases]
    padded = [row + [NO_SYMBOL] * (length - len(row)) for row in rows]
    return np.array([*padded, [NO_SYMBOL] * length], np.int32)


def walked(bias, start, labels):
    """What each label of a text adds, and the end of the text after each."""
    state, added, ended = tf.constant([start]), [], []
    for label in labels:
        added.append(bias.scores(state)[0, label].numpy())
        state = bias.advance(state, tf.constant([label]))
        ended.append(bias.final(state)[0].numpy())
    return added, ended


def texts(tokenizer):
    label = st.integers(0, tokenizer.vocabulary.size - 1)
    return st.lists(label, min_size=1, max_size=14)


@pytest.mark.parametrize("tokenizer", [GRAPHEMES, PIECES], ids=["graphemes", "pieces"])
def test_it_is_the_automaton_of_numpy(tokenizer):
    vocabulary = tokenizer.vocabulary
    # All lists in one batch: they keep apart.
    most = max(map(len, LISTS))
    rows = [symbols_of(phrases + [""] * (most - len(phrases)), tokenizer) for phrases in LISTS]
    scores = 0.5 + np.arange(len(LISTS), dtype=np.float32)
    bias = RequestBias.of(tf.constant(np.stack(rows)), tf.constant(scores), vocabulary)
    expected = [
        PhraseBias.of(phrases, tokenizer, float(score))
        for phrases, score in zip(LISTS, scores, strict=True)
    ]

    @settings(max_examples=examples(6), deadline=None)
    @given(labels=texts(tokenizer), row=st.integers(0, len(LISTS) - 1))
    def check(labels, row):
        found = walked(bias, int(bias.start[row, 0]), labels)
        np.testing.assert_allclose(
            found, walked(expected[row], PhraseBias.start, labels), atol=1e-5
        )

    check()


def test_without_phrases_nothing_is_added():
    symbols = tf.fill([2, 1, 3], NO_SYMBOL)
    bias = RequestBias.of(symbols, tf.constant([0.5, 2.0]), GRAPHEMES.vocabulary)
    assert not np.any(bias.added)
    assert not np.any(bias.ended)
