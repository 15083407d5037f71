import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.lite import long_audio
from int4_conformer.lite.speech_activity import pauses
from tests.support.examples import examples

RATE = 16000
BLOCK = 640
RNG = np.random.default_rng(0)


def quiet(seconds):
    return RNG.normal(0, 1e-3, int(seconds * RATE)).astype(np.float32)


def loud(seconds):
    """Noise with four syllables a second."""
    noise = RNG.normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    return noise * np.where(np.arange(len(noise)) % 4000 < 3000, 1, 0.1).astype(np.float32)


def cut(audio, longest, step=RATE):
    blocks = (audio[start : start + step] for start in range(0, len(audio), step))
    return list(long_audio.parts(blocks, RATE, int(longest * RATE), BLOCK))


def assert_whole(audio, parts, longest):
    """The parts are the audio, but for what they have in common."""
    end = 0
    for part in parts:
        assert part.start % BLOCK == 0
        assert part.start == end - part.overlap
        np.testing.assert_array_equal(part.pcm, audio[part.start :][: len(part.pcm)])
        assert part.overlap < len(part.pcm) <= longest * RATE
        end = part.start + len(part.pcm)
    assert end == len(audio)


@settings(max_examples=examples(20), deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.1, 4)), max_size=8),
    st.sampled_from([0.5, 2.0, 7.77]),
    st.sampled_from([0.1, 0.33, 5.0, 200.0]),
)
def test_parts_are_the_whole(pieces, longest, step):
    audio = [loud(seconds) if is_loud else quiet(seconds) for is_loud, seconds in pieces]
    audio = np.concatenate([quiet(0.1), *audio])
    assert_whole(audio, cut(audio, longest, int(step * RATE)), longest)


def test_the_longest_pause_is_cut():
    # At 8 to 8.4, 12 to 13 and 16 to 16.6 s.
    audio = np.concatenate([loud(8), quiet(0.4), loud(3.6), quiet(1), loud(3), quiet(0.6), loud(9)])
    first, second = cut(audio, 20)
    assert first.overlap == second.overlap == 0
    assert second.start / RATE == pytest.approx(12.5, abs=0.05)
    # What lies too early does not count: parts would be many.
    first, *_ = cut(audio, 45, RATE)
    assert len(first.pcm) == len(audio)
    _, second, *_ = cut(np.append(audio, loud(30)), 42)
    assert second.start / RATE == pytest.approx(16.3, abs=0.05)


def test_without_a_pause_parts_overlap():
    audio = loud(50)
    parts = cut(audio, 20)
    assert [part.start / RATE for part in parts] == [0, 16, 32]
    assert [part.overlap / RATE for part in parts] == [0, 4, 4]
    assert_whole(audio, parts, 20)


def test_silence_is_cut_anywhere_and_an_end_is_not_shorter_than_a_word():
    for seconds in (20.01, 20.5, 39.9):
        audio = quiet(seconds)
        parts = cut(audio, 20)
        assert_whole(audio, parts, 20)
        assert all(part.overlap == 0 for part in parts)
        assert len(parts[-1].pcm) >= RATE - BLOCK


def test_no_more_is_taken_than_a_part_needs():
    taken = []

    def audio():
        for _ in range(100):
            taken.append(1)
            yield loud(1)

    parts = long_audio.parts(audio(), RATE, 20 * RATE, BLOCK)
    assert taken == []
    next(parts)
    assert len(taken) == 21
    next(parts)
    assert len(taken) <= 41


def brute_force(pcm):
    """Whether each level is in a pause, by the definition."""
    differences = np.diff(np.append(pcm[:1], pcm)).astype(np.float64)
    times = np.arange(320)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * times / 320)
    phases = 2 * np.pi * np.arange(300, 1001, 50)[:, None] * times / RATE
    waves = np.concatenate([np.cos(phases), np.sin(phases)])
    squares = []
    for start in range(0, len(pcm) - 319, RATE // 100):
        products = waves @ (differences[start : start + 320] * hann)
        squares.append(2 / 320 / np.sum(hann**2) * np.sum(products**2))
    levels, floors = [], []
    for start in range(len(squares) - 4):
        part = squares[start : start + 5]
        levels.append(max(10 * np.log10(np.mean(part) + 1e-12), -85.0))
        floors.append(levels[-1] if min(part) > 0 else np.inf)
    return [
        floors[n] == np.inf or level < min(floors[max(0, n - 60) : n + 61]) + 7
        for n, level in enumerate(levels)
    ]


@settings(max_examples=examples(10), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["loud", "quiet", "zeros"]), st.floats(0.05, 0.9)), max_size=8
    )
)
def test_pauses_are_as_they_are_defined(pieces):
    made = {"loud": loud, "quiet": quiet, "zeros": lambda s: np.zeros(int(s * RATE), np.float32)}
    pcm = np.concatenate([np.zeros(0, np.float32), *(made[kind](s) for kind, s in pieces)])
    is_quiet = brute_force(pcm)
    expected, n = [], 0
    while n < len(is_quiet):
        begin = n
        while n < len(is_quiet) and is_quiet[n]:
            n += 1
        if n > begin:
            expected.append((begin * 0.01, (n + 5) * 0.01))
        n += 1
    np.testing.assert_allclose(
        np.reshape(pauses(pcm, RATE), [-1, 2]), np.reshape(expected, [-1, 2]), atol=1e-9
    )
