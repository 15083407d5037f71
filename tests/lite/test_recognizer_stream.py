import numpy as np
import pytest

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer_stream import RecognizerStream
from int4_conformer.lite.utterance_passes import Pass, UtterancePasses
from int4_conformer.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(pieces=("<blank>", *"abcdefghijklmnopqrstuvwxyz"))
# Samples of a frame, frames of a segment of the first pass and of the second.
FRAME, FIRST, SECOND = 2, 3, 6
# Of a frame.
SECONDS = 0.5


def said_in(letters, start):
    """The outputs that tell of the letters of a segment, 0 for none, each as probable as 1 in 2."""
    frames = np.flatnonzero(letters).astype(np.int32)
    padding = (0, len(letters) - len(frames))
    return {
        interface.TOKENS: np.pad(letters[frames], padding)[None],
        interface.COUNT: np.array([len(frames)], np.int32),
        interface.FRAMES: np.pad(frames + start, padding)[None],
        interface.LOG_PROBS: np.pad(np.full(len(frames), np.log(0.5), np.float32), padding)[None],
    }


def first_run(pcm, length, count):
    """Says of each frame the letter that its first sample is the number of, and counts frames."""
    assert pcm.shape == (1, FIRST * FRAME)
    frames = -(-int(length[0]) // FRAME)
    letters = pcm[0, ::FRAME].astype(np.int32)
    assert not letters[frames:].any()
    return said_in(letters, count) | {
        interface.ENCODED: letters[None, :, None].astype(np.float32),
        interface.LENGTH: np.array([frames], np.int32),
        "seen": count + frames,
    }


def second_run(encoded, length, count):
    """Says the next letter of the alphabet, of each frame."""
    frames = int(length[0])
    letters = encoded[0, :, 0].astype(np.int32)
    assert not letters[frames:].any()
    return said_in(letters + (letters > 0), count) | {"seen": count + frames}


def a_pass(run, given, shape):
    """The pass, and the states that its signature was given."""
    states = []

    def recorded(*, seen, **inputs):
        states.append(int(seen[0]))
        return run(inputs[given], inputs[interface.LENGTH], seen)

    inputs = {
        given: {"shape": shape, "dtype": np.float32},
        interface.LENGTH: {"shape": [1], "dtype": np.int32},
        "seen": {"shape": [1], "dtype": np.int32},
    }
    return Pass(recorded, inputs, given), states


def stream(passes, block=FRAME, to_pcm=lambda samples, last: samples):
    first, first_states = a_pass(first_run, interface.PCM, [1, FIRST * FRAME])
    second, second_states = a_pass(second_run, interface.ENCODED, [1, SECOND, 1])
    second_pass = second if passes == 2 else None
    passes = UtterancePasses(first, second_pass, VOCABULARY, block, SECONDS)
    made = RecognizerStream(passes, to_pcm, block_samples=block)
    return made, first_states, second_states


def spoken(text):
    """Two samples a letter; a space is a silent frame."""
    letters = [max(0, ord(letter) - ord("a") + 1) for letter in text]
    return np.repeat(np.float32(letters), FRAME)


@pytest.mark.parametrize("size", [1, 5, 6, 7, 100])
def test_one_pass_says_each_word_once_and_keeps_it(size):
    heard, states, _ = stream(1)
    pcm, said = spoken("hello world"), [""]
    for start in range(0, len(pcm), size):
        words = heard.feed(pcm[start : start + size])
        assert words.final == words.text
        assert words.text.startswith(said[-1])
        # What is whole is said at once.
        whole = min(start + size, len(pcm)) // (FIRST * FRAME) * FIRST
        assert words.text == "hello world"[:whole].replace(" ", "")
        said.append(words.text)
    assert heard.finish().text == "helloworld"
    assert states == list(range(0, len(states) * FIRST, FIRST))


def test_the_second_pass_replaces_the_words_of_the_first():
    heard, _, states = stream(2)
    pcm = spoken("abcabcabca")
    assert [heard.feed(pcm[i : i + 6]) for i in range(0, len(pcm), 6)][2].text == "bcdbcdabc"
    words = heard.feed(pcm[:0])
    assert (words.final, words.text) == ("bcdbcd", "bcdbcdabc")
    assert heard.finish().final == heard.finish().text == "bcdbcdbcdb"
    assert states == [0, 6]


@pytest.mark.parametrize("passes", [1, 2])
def test_final_words_have_times_from_the_start_of_the_stream(passes):
    heard, _, _ = stream(passes)
    for start in range(0, 20, 7):
        heard.feed(spoken("  ab  abc ")[start : start + 7])
    (word,) = heard.finish().final_words
    # No letter of this vocabulary begins a word.
    assert word.text == heard.finish().text == ("ababc" if passes == 1 else "bcbcd")
    assert (word.start, word.end) == (2 * SECONDS, 9 * SECONDS)
    assert word.confidence == pytest.approx(0.5)


def test_an_utterance_that_ends_with_a_segment_loses_and_repeats_nothing():
    heard, _, _ = stream(2)
    heard.feed(spoken("abcabc"))
    assert heard.finish().text == "bcdbcd"
    heard, _, _ = stream(2)
    assert heard.finish().text == ""


def test_the_end_is_padded_as_whole_utterances_are():
    heard, states, _ = stream(1, block=4 * FRAME)
    heard.feed(spoken("abcde"))
    heard.finish()
    # Eight frames: two segments, and two frames of the third.
    assert states == [0, 3, 6]


@pytest.mark.parametrize("nothing", [[], np.zeros([0, 2], np.float32), np.zeros(0, np.int32)])
def test_nothing_is_heard_of_nothing(nothing):
    def to_pcm(samples, last):
        assert last, "nothing to be heard"
        return samples

    heard, states, _ = stream(1, to_pcm=to_pcm)
    assert heard.feed(nothing).text == ""
    assert states == []
    assert heard.finish().text == ""
    with pytest.raises(UserError, match="The utterance has ended"):
        heard.feed(nothing)


def test_nothing_follows_the_end():
    heard, _, _ = stream(1)
    heard.finish()
    with pytest.raises(UserError, match="The utterance has ended; begin a new stream"):
        heard.feed(spoken("a"))
