import html
import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.lite.subtitles import Subtitles, cues
from int4_conformer.lite.words import Word
from int4_conformer.text.columns import columns
from tests.support.examples import examples

TIME = r"(\d\d+):([0-5]\d):([0-5]\d)[,.](\d\d\d)"


def word(text, start, end):
    return Word(text=text, start=start, end=end, confidence=0.5)


def evenly(texts, seconds=0.4, start=0.0):
    """Words without a pause between them."""
    return [
        word(text, start + place * seconds, start + (place + 1) * seconds)
        for place, text in enumerate(texts)
    ]


def parsed(content, mark):
    """Start, end and lines of each cue of a file, by the rules of its format."""
    cues = []
    for block in content.removesuffix("\n\n").split("\n\n"):
        lines = block.split("\n")
        if mark == ",":
            assert lines.pop(0) == str(len(cues) + 1)
        found = re.fullmatch(f"{TIME} --> {TIME}", lines.pop(0))
        assert found[0].count(mark) == 2
        numbers = list(map(int, found.groups()))
        start, end = (
            3600 * h + 60 * m + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        assert start < end
        assert all(lines)
        cues.append((start, end, lines))
    return cues


def test_a_pause_parts_cues_and_short_ones_stay_a_second():
    assert [
        (round(cue.start, 3), round(cue.end, 3), cue.lines)
        for cue in cues([word("yes", 0.4, 0.5), word("no", 1.3, 1.4), word("go", 2.5, 4.5)])
    ] == [(0.4, 1.7, ("yes no",)), (2.5, 4.8, ("go",))]


def test_cues_do_not_overlap():
    first, second = cues([word("yes", 0.0, 0.1), word("no", 1.1, 1.2)], after=0.0)
    assert (first.end, second.start) == (1.0, 1.1)
    early, late = cues([word("yes", 0.0, 5.9), word("no", 5.9, 6.3)], after=0.5)
    assert early.start == 0.5
    assert early.end == late.start == 5.9


def test_long_cues_are_parted_at_the_longest_pause_of_their_second_half():
    words = evenly(["word"] * 9, 0.5) + evenly(["word"] * 6, 0.5, start=5.0)
    assert [cue.start for cue in cues(words)] == [0.0, 5.0]


def test_lines_are_of_about_one_length():
    (cue,) = cues(evenly(["a"] * 21, 0.1))
    assert cue.lines == (" ".join(["a"] * 21),)
    (cue,) = cues(evenly(["a"] * 22, 0.1))
    assert cue.lines == (" ".join(["a"] * 11),) * 2


def test_a_sentence_without_spaces_is_parted():
    found = cues([word("語" * 60, 0.0, 12.0)])
    assert "".join(line for cue in found for line in cue.lines) == "語" * 60
    assert all(columns(line) <= 42 for cue in found for line in cue.lines)
    assert all(cue.end - cue.start <= 6.0 for cue in found)


def test_srt_files():
    subtitles = Subtitles("srt")
    assert subtitles.head() == ""
    content = subtitles.of([word("a<b&", 3661.2345, 3662.0)])
    content += subtitles.of([word("b", 3662.0, 3662.1)])
    assert content == (
        "1\n01:01:01,234 --> 01:01:02,300\na<b&\n\n2\n01:01:02,300 --> 01:01:03,300\nb\n\n"
    )


def test_vtt_files():
    subtitles = Subtitles("vtt")
    assert subtitles.head() == "WEBVTT\n\n"
    assert subtitles.of([word("a<b&-->", 0.0, 0.5)]) == (
        "00:00:00.000 --> 00:00:01.000\na&lt;b&amp;--&gt;\n\n"
    )


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("aé語<&x"), min_size=1, max_size=70),
            st.floats(0, 3),
            st.floats(0, 3),
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 4),
    st.sampled_from(["srt", "vtt"]),
)
def test_files_are_valid_and_hold_all_words(spoken, utterances, form):
    words, now = [], 0.0
    for text, pause, length in spoken:
        words.append(word(text, now + pause, now + pause + length))
        now += pause + length
    subtitles = Subtitles(form)
    size = -(-len(words) // utterances)
    content = "".join(
        subtitles.of(words[start : start + size]) for start in range(0, len(words), size)
    )
    found = parsed(content, "," if form == "srt" else ".")
    letters = "".join(line for _, _, lines in found for line in lines)
    if form == "vtt":
        letters = html.unescape(letters)
    assert letters.replace(" ", "") == "".join(text for text, _, _ in spoken)
    for (_, end, _), (start, _, _) in itertools.pairwise(found):
        assert end <= start
    for _, _, lines in found:
        assert len(lines) <= 2
        assert all(columns(html.unescape(line)) <= 42 for line in lines)
