import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.lite.joined_words import JoinedWords, _common_run
from int4_conformer.search.time_synchronous import Token
from int4_conformer.text.vocabulary import Vocabulary
from tests.support.examples import examples

# Pieces that begin a word, and pieces that go on with one.
PIECES = Vocabulary(pieces=("<blank>", "▁a", "▁b", "c", "d"))
LETTERS = Vocabulary(pieces=("<blank>", "a", "b", "c", "d"))
# Ten frames a second: the same token may be two frames off.
SECONDS = 0.1


def token(id_, frame):
    return Token(id=id_, frame=frame, log_prob=-0.5)


def spelled(vocabulary, tokens):
    return [word.text for word in vocabulary.words(t.id for t in tokens)]


def joined(parts, vocabulary=PIECES):
    """The words of parts: tokens, first frame and overlap."""
    words = JoinedWords(vocabulary, SECONDS)
    for tokens, start, overlap in parts:
        words.add([token(id_, frame - start) for id_, frame in tokens], start, overlap)
    return words.words()


@settings(max_examples=examples(100), deadline=None)
@given(
    # Further apart than the same token may be.
    st.lists(st.tuples(st.integers(1, 4), st.integers(3, 5)), min_size=1, max_size=100),
    st.sampled_from([PIECES, LETTERS]),
    st.randoms(use_true_random=False),
)
def test_parts_of_a_text_are_the_text(steps, vocabulary, random):
    frames = list(itertools.accumulate(step for _, step in steps))
    # The first token begins a word, as after a pause.
    ids = [1, *(id_ for id_, _ in steps[1:])]
    said = list(zip(ids, frames, strict=True))
    parts, start = [], 0
    while True:
        end, is_last = start + 100, start + 100 > frames[-1]
        # What a part makes of its first and its last second is not to be believed.
        begin, stop = start + 10 * bool(start), end - 10 * (not is_last)
        tokens = [(id_, frame) for id_, frame in said if begin <= frame < stop]
        tokens = [(random.randint(1, 4), frame) for frame in range(start, begin, 5)] + tokens
        if not is_last:
            tokens += [(random.randint(1, 4), frame) for frame in range(stop, end, 4)]
        parts.append((tokens, start, 40 if start else 0))
        if is_last:
            break
        start += 60
    words = joined(parts, vocabulary)
    assert [word.text for word in words] == spelled(vocabulary, [token(*t) for t in said])
    assert [word.start for word in words] == sorted(word.start for word in words)


def test_a_pause_ends_a_word():
    words = joined([([(1, 5), (3, 6)], 0, 0), ([(3, 105), (4, 107)], 100, 0)])
    assert [word.text for word in words] == ["ac", "cd"]
    assert [(word.start, word.end) for word in words] == [
        pytest.approx((0.5, 0.7)),
        pytest.approx((10.5, 10.8)),
    ]


def test_a_word_may_go_on_in_the_next_part():
    words = joined(
        [
            ([(1, 5), (2, 70), (3, 75), (4, 80)], 0, 0),
            ([(2, 71), (3, 75), (4, 80), (4, 101), (1, 120)], 60, 40),
        ]
    )
    assert [word.text for word in words] == ["a", "bcdd", "a"]
    assert words[1].start == pytest.approx(7.0)
    assert words[1].end == pytest.approx(10.2)


def test_words_that_are_not_common_are_told_by_their_times():
    # The middle of the overlap is frame 80.
    earlier = [(1, 10), (2, 65), (3, 66), (2, 79), (3, 83), (1, 95)]
    later = [(2, 61), (4, 64), (2, 82), (4, 84), (2, 130)]
    assert [word.text for word in joined([(earlier, 0, 0), (later, 60, 40)])] == [
        *("a", "bc", "bc"),
        *("bd", "b"),
    ]
    # Of no words of one of them, all of the other's half.
    assert [word.text for word in joined([(earlier, 0, 0), ([], 60, 40)])] == ["a", "bc", "bc"]
    assert [word.text for word in joined([([], 0, 0), (later, 60, 40)])] == ["bd", "b"]
    assert joined([([], 0, 0), ([], 60, 40)]) == ()


TOKENS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=7).map(
    lambda steps: [
        token(id_, frame)
        for (id_, _), frame in zip(
            steps, itertools.accumulate(step for _, step in steps), strict=True
        )
    ]
)


@settings(max_examples=examples(200), deadline=None)
@given(TOKENS, TOKENS, st.integers(0, 3))
def test_the_longest_common_run(before, after, near):
    def same(i, j, length):
        return all(
            before[i + n].id == after[j + n].id
            and abs(before[i + n].frame - after[j + n].frame) <= near
            for n in range(length)
        )

    longest = max(
        (
            length
            for i in range(len(before))
            for j in range(len(after))
            for length in range(1, min(len(before) - i, len(after) - j) + 1)
            if same(i, j, length)
        ),
        default=0,
    )
    found = _common_run(before, after, near)
    if not longest:
        assert found is None
        return
    kept, skipped = found
    back = longest - longest // 2
    # So many tokens are common before and behind the place.
    assert same(kept - back, skipped - back, longest)
