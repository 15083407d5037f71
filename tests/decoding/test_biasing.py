import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.decoding.beam import BeamSearch
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.errors import UserError
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.wordpieces import Wordpieces
from tests.decoding.networks import LENGTHS, Network
from tests.support.examples import examples

LETTERS = Graphemes(charset=" abc")
WORDS = st.text("abc", min_size=1, max_size=3)


def given_by(bias, ids, *, end=True):
    """What each token adds, and the end of the utterance."""
    states, added = np.int32([bias.start]), []
    for token in ids:
        added.append(float(bias.scores(states)[0, token]))
        states = bias.advance(states, np.int32([token])).numpy()
    return [*added, float(bias.final(states)[0])] if end else added


def letters(phrases, text, score=1.0, **end):
    return given_by(PhraseBias.of(phrases, LETTERS, score), LETTERS.encode(text), **end)


@pytest.mark.parametrize(
    ("phrases", "text", "expected"),
    [
        (["ab"], "ab", [1, 1, 0]),
        # Inside a word nothing matches, and no phrase is the beginning of a word.
        (["ab"], "cab", [0, 0, 0, 0]),
        (["ab"], "abc", [1, 1, -2, 0]),
        (["ab"], "ab ab", [1, 1, 0, 1, 1, 0]),
        (["ab"], "  ab c", [0, 0, 1, 1, 0, 0, 0]),
        (["ab"], "a", [1, -1]),
        (["ab"], "ac b", [1, -1, 0, 0, 0]),
        # Several words; a match that fails may hold the beginning of another one.
        (["a b"], "a b", [1, 0, 1, 0]),
        (["a b"], "a c", [1, 0, -1, 0]),
        (["a b"], "a a b", [1, 0, 0, 0, 1, 0]),
        (["a b"], "a", [1, -1]),
        (["a b"], "a ", [1, 0, -1]),
        # A phrase within a longer one is earned, whatever becomes of that.
        (["a", "a b"], "a c", [1, 0, 0, 0]),
        (["a", "a bb"], "a bc", [1, 0, 1, -1, 0]),
        (["b", "a b c"], "a b a", [1, 0, 1, 0, 0, -1]),
        (["b", "a b c"], "a b c", [1, 0, 1, 0, 1, 0]),
        (["a", "ab"], "ab", [1, 1, 0]),
        (["a", "ab"], "a", [1, 0]),
    ],
)
def test_only_whole_phrases_pay(phrases, text, expected):
    assert letters(phrases, text) == expected


@settings(deadline=None, max_examples=examples(50))
@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, max_size=8), st.floats(0.5, 3))
def test_words_pay_for_their_letters(phrases, words, score):
    text = " ".join(words)
    total = score * sum(len(word) for word in words if word in phrases)
    assert sum(letters(phrases, text, score)) == pytest.approx(total, abs=1e-4)


@settings(deadline=None, max_examples=examples(50))
@given(
    st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=5),
    st.lists(WORDS, max_size=8),
)
def test_nothing_is_taken_that_was_not_given(phrases, words):
    text = " ".join(words)
    added = np.cumsum(letters(phrases, text))
    assert added.min(initial=0) >= -1e-6
    # Overlapping phrases share their letters.
    matched = np.zeros(len(text) + 2, bool)
    for phrase in phrases:
        place = -1
        while (place := f" {text} ".find(f" {phrase} ", place + 1)) >= 0:
            matched[place : place + len(phrase)] = True
    most = sum(m and letter != " " for m, letter in zip(matched, f"{text} ", strict=False))
    assert added[-1] <= most + 1e-6
    assert (added[-1] > 0) == bool(most)


def test_wordpieces_match_from_word_to_word():
    texts = ["anna", "ann lee", "annual banana", "banal bee", "lee ann anna", "nana"] * 3
    tokenizer = Wordpieces.train(texts, 15)
    bias = PhraseBias.of(["Anna", "ann lee"], tokenizer, 2.0)
    for text, phrases in [
        ("anna", ["anna"]),
        ("annual", []),
        ("lee ann lee anna", ["ann lee", "anna"]),
        ("nana anna bee", ["anna"]),
        ("ann bee", []),
        ("banana", []),
    ]:
        words = [word for phrase in phrases for word in phrase.split()]
        tokens = sum(
            tokenizer.vocabulary.pieces[token] != "▁"
            for word in words
            for token in tokenizer.encode(word)
        )
        assert sum(given_by(bias, tokenizer.encode(text))) == 2 * tokens


def test_a_bias_changes_what_a_search_finds():
    network = Network(2, blank_bias=1.0)
    phrases = ["cab", "bac"]
    plain, biased = (
        BeamSearch(
            predict=network.predict,
            logits=network.logits,
            max_symbols_per_frame=2,
            config=BeamConfig(beam_size=8, threshold=math.inf),
            bias=bias,
        )
        for bias in (None, PhraseBias.of(phrases, LETTERS, 4.0))
    )
    said = {}
    for name, search in (("plain", plain), ("biased", biased)):
        start = search.start(len(LENGTHS), lambda rows: network.start(rows)[1])
        paths, beam = search(network.frames, LENGTHS, start)
        beam = search.finish(beam)
        said[name] = []
        for b, k in enumerate(np.argmax(beam.score, axis=1)):
            ids = paths.ids.numpy()[b, k, : paths.count[b, k]]
            said[name].append(LETTERS.vocabulary.detokenize(ids))
            bonus = 0 if name == "plain" else sum(letters(phrases, ids_text(ids), 4.0))
            assert float(beam.extra[b, k]) == pytest.approx(bonus, abs=1e-4)
    count = {
        name: sum(w in phrases for t in texts for w in t.split()) for name, texts in said.items()
    }
    assert count["biased"] > count["plain"]


def ids_text(ids):
    return "".join(LETTERS.charset[i - 1] for i in ids)


def test_refusals(tmp_path):
    with pytest.raises(UserError, match=r"`score` must be positive. Received: score=0"):
        PhraseBias.of(["a"], LETTERS, 0.0)
    with pytest.raises(UserError, match=r"holds no word. Received: 2 phrases"):
        PhraseBias.of(["", " ! "], LETTERS, 1.0)
    with pytest.raises(UserError, match="symbol 'x' of the text 'ax' is not in the vocabulary"):
        PhraseBias.of(["ax"], LETTERS, 1.0)
    for grammar in ("a = b", "(a | b)", "a {letter: b}"):
        with pytest.raises(UserError, match=r"is a grammar, which only a closed list may hold"):
            PhraseBias.of(["ab", grammar], LETTERS, 1.0)
    with pytest.raises(UserError, match=r"There is no list of phrases .*absent\.txt"):
        PhraseBias.read(tmp_path / "absent.txt", LETTERS, 1.0)
    with pytest.raises(UserError, match=r"cannot be read as UTF-8 text"):
        PhraseBias.read(tmp_path, LETTERS, 1.0)
    (tmp_path / "phrases.txt").write_text("# Names\nAB\n\n  # and ab\nca\n")
    read = PhraseBias.read(tmp_path / "phrases.txt", LETTERS, 1.0)
    np.testing.assert_array_equal(read.added, PhraseBias.of(["ab", "ca"], LETTERS, 1.0).added)
