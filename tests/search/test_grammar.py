import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.errors import UserError
from int4_conformer.search import closed_list, matcher
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.grammar import Grammar, Match
from int4_conformer.search.scorer import NOTHING
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.spoken_numbers import MOST_WORDS, number_of, spoken_number
from int4_conformer.text.wordpieces import Wordpieces
from tests.support.examples import examples

LETTERS = Spelling(vocabulary=Graphemes().vocabulary)


@pytest.mark.parametrize(
    ("line", "said", "not_said"),
    [
        ("stop", ["stop", "Stop!"], ["", "stop stop", "sto"]),
        ("turn (on|off) the [kitchen] light", ["turn on the light", "turn off the kitchen light"],
         ["turn the light", "turn on off the light"]),
        ("(zero | one two)+", ["zero", "one two zero", "zero zero"], ["one", "zero one"]),
        ("[please] [very] stop", ["please very stop", "very stop", "stop"], ["please"]),
        ("room {1..12}", ["room one", "room twelve"], ["room", "room thirteen", "room zero"]),
        ("page 101", ["page one hundred one"], ["page one zero one"]),
        ("(a | (b | c) d)", ["a", "b d", "c d"], ["b", "a d"]),
        ("it's 5 o'clock", ["it's five o'clock"], ["its five o'clock"]),
    ],
)  # fmt: skip
def test_what_may_be_said(line, said, not_said):
    grammar = Grammar.of([line])
    closed = ClosedList([line], LETTERS)
    for text in said:
        assert grammar.match(text) is not None, text
        assert allows(closed, text.lower().strip("!")), text
    for text in not_said:
        assert grammar.match(text) is None, text
        assert text == "" or not allows(closed, text), text


def allows(closed, text, spelling=LETTERS):
    state = closed.start
    for token in spelling.encode(text):
        if closed.scores(np.array([state]))[0, token] < 0:
            return False
        state = closed.advance(state, token)
    return closed.final(state) == 0


def test_slots():
    grammar = Grammar.of(
        [
            "timer = set a timer for {minutes:1..99} (minute | minutes) "
            "[and {seconds: 1..59} seconds]",
            "call {name: anna | (bob|robert) lee}",
            "",
        ]
    )
    assert grammar.match("Set a timer for twenty-five minutes").slots == {"minutes": 25}
    found = grammar.match("set a timer for one minute and thirty seconds")
    assert (found.phrase, found.slots) == ("timer", {"minutes": 1, "seconds": 30})
    found = grammar.match("call robert lee")
    assert (found.phrase, found.slots) == (
        "call {name: anna | (bob|robert) lee}",
        {"name": "robert lee"},
    )
    assert grammar.match("call lee") is None


@settings(deadline=None, max_examples=examples(30))
@given(
    st.lists(
        st.lists(st.sampled_from(["ab", "aab", "ba", "b"]), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_a_list_allows_its_phrases_alone(phrases):
    texts = {" ".join(words) for words in phrases}
    pieces = Wordpieces.train(["ab aab ba b bab abba"] * 4, 8)
    for spelling in (LETTERS, pieces):
        closed = ClosedList(sorted(texts), spelling)
        every = [
            " ".join(words)
            for n in (1, 2, 3)
            for words in itertools.product(["ab", "aab", "ba", "b"], repeat=n)
        ]
        assert {text for text in every if allows(closed, text, spelling)} == texts


def test_lines_may_end_as_those_of_a_file_do():
    assert Grammar.of(["way = go {1..3}\n", "\n"]).match("go two") == Match(phrase="way", slots={})


def test_before_the_first_word_nothing_was_said():
    closed = ClosedList(["stop"], LETTERS)
    assert closed.final(closed.start) == 0
    assert closed.final(closed.advance(closed.start, LETTERS.encode("s")[0])) == NOTHING


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["turn (on|off"], r"'turn \(on\|off' cannot be read: '\)' is missing"),
        (["stop)"], r"'\)' closes nothing"),
        (["+ stop"], "'\\+' repeats nothing"),
        (["[ ]"], "it has no word"),
        (["!!"], "it has no word"),
        ("stop", "must be a list of expressions. Received the string 'stop'"),
        (["light-on = light"], "before '=' stands a name, of letters, digits and _ alone"),
        (["turn {way:} it"], r"the slot '\{way:\}' has no word"),
        (["{minutes:one..ten}"], r"'one\.\.ten' is no range of numbers, such as 1\.\.60"),
        (["{9..3}"], r"9\.\.3 is no range"),
        (["9" * 5000], "numbers are spelled from 0 to 999,999"),
        (["{1.." + "9" * 5000 + "}"], "numbers are spelled from 0 to 999,999"),
        (["(" * 9999 + "a" + ")" * 9999], "it has more than 50 brackets in each other"),
        (["{1..9999} " * 1500], "The list of phrases is too large"),
        (["", " "], "The grammar has no phrase. Received: 2 lines"),
        (["1234567"], "numbers are spelled from 0 to 999,999"),
    ],
)
def test_refusals(lines, message):
    with pytest.raises(UserError, match=message):
        ClosedList(lines, LETTERS)


def test_choices_that_multiply_without_end(monkeypatch):
    # It takes seconds to come as far as the limit.
    monkeypatch.setattr(closed_list, "_MOST_STATES", 10_000)
    with pytest.raises(UserError, match="it comes to more than 10,000 tokens"):
        ClosedList(["(a|b)+ a" + " (a|b)" * 40], LETTERS)


@pytest.mark.parametrize("line", ["(a+)+ b", "[a] " * 200 + "b", "((a | a)+ | [a])+ b"])
def test_many_ways_to_say_the_same_take_no_time(line):
    grammar = Grammar.of([line])
    assert grammar.match("a " * 200) is None
    assert grammar.match("a " * 100 + "b").phrase == line.strip()


def test_what_was_made_to_take_long_fits_nowhere(monkeypatch):
    monkeypatch.setattr(matcher, "_MOST_TRIED", 200_000)
    grammar = Grammar.of(["[a] " * 2000])
    assert grammar.match("a " * 1000) is None
    assert grammar.match("a " * 20) is not None


def test_long_texts():
    grammar = Grammar.of(["({n:1..9999})+"])
    assert grammar.match("five " * 999).slots == {"n": 5}
    assert grammar.match("five " * 1001) is None


def test_words_that_cannot_be_spelled():
    with pytest.raises(UserError, match="The symbol 'é' of the text 'café' is not in the"):
        ClosedList(["café"], LETTERS)


def test_numbers_are_said_as_people_say_them():
    said = {0: "zero", 13: "thirteen", 40: "forty", 99: "ninety nine", 100: "one hundred",
            116: "one hundred sixteen", 1000: "one thousand", 20_001: "twenty thousand one",
            999_999: "nine hundred ninety nine thousand nine hundred ninety nine"}  # fmt: skip
    assert {number: spoken_number(number) for number in said} == said
    assert len({spoken_number(number) for number in range(2000)}) == 2000
    for number in (*range(2000), *said, 999_000, 123_456):
        words = spoken_number(number).split()
        assert number_of(words) == number
        assert len(words) <= MOST_WORDS
    assert all(number_of(words.split()) is None for words in ("", "a", "five ten", "hundred"))


LINES = ["stop", "[please] turn (on | off) the light", "room {1..60}", "(one | two three)+"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_drawn_may_be_said(seed):
    grammar = Grammar.of(LINES)
    text = grammar.draw(np.random.default_rng(seed))
    assert text
    assert grammar.match(text) is not None


def test_a_phrase_that_mostly_says_nothing():
    grammar = Grammar.of(["[" * 50 + "a" + "]" * 50])
    with pytest.raises(UserError, match=r"mostly says nothing; take some of its \[ \] away"):
        grammar.draw(np.random.default_rng(0))


def test_phrases_are_drawn_by_the_logarithm_of_their_ways():
    grammar = Grammar.of(LINES)
    rng = np.random.default_rng(0)
    found = [grammar.match(grammar.draw(rng)).phrase for _ in range(2000)]
    # The last one repeats 4 times on average what may be said in 2 ways.
    bits = [0, 2, np.log2(60), 4]
    expected = np.add(1, bits) / np.add(1, bits).sum()
    np.testing.assert_allclose([found.count(line) / 2000 for line in LINES], expected, atol=0.05)
    assert (
        len({grammar.draw(rng) for _ in range(1000)} & {f"room {n}" for n in ("one", "sixty")}) == 2
    )
