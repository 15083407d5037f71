import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from int4_conformer.text.normalize import markers, normalize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("HELLO, World!", "hello world"),
        ("  a\tb\nc  ", "a b c"),
        ("Don't 'quote' the dogs' bone", "don't quote the dogs bone"),
        ("it’s rock’n’roll", "it's rock'n'roll"),
        ("''tis", "tis"),
        ("a''b", "a b"),
        ("twenty-one well–known", "twenty one well known"),
        ("yes,no/maybe", "yes no maybe"),
        ("the U.S. is 3.5", "the us is 3 5"),
        ("no.5, 1.2.3 and .5", "no 5 1 2 3 and 5"),
        ("wait...what…", "wait what"),
        ("snake_case (word)s", "snake case word s"),
        ("5 % + $3", "5 3"),
        ("ﬁne Ａ", "fine a"),
        ("CAFE\u0301", "café"),
        ("zero\u200bwidth", "zerowidth"),
        ("क्या", "क्या"),
        ("[noise] yes <unk>", "yes"),
        ("<NOISE>one[door slams]two", "one two"),
        ("［笑い］はい", "はい"),
        ("(hello) (laughter)", "hello laughter"),
        ("a < b and c > d [", "a b and c d"),
        ("İstanbul", "istanbul"),
        ("i\u0307", "i"),
        ("e\u200b\u0301", "é"),
    ],
)
def test_cases(text, expected):
    assert normalize(text) == expected


def test_numbers_that_differ_stay_different():
    assert len({normalize(text) for text in ("3.5", "35", "3 point 5")}) == 3


def test_markers_are_named():
    assert markers("[Noise] yes <unk> (well) a < b > c") == ["[noise]", "<unk>"]
    assert markers("yes") == []


# Of those that meet: dots, digits, brackets, letters whose accents come apart.
_MEETING = st.text("aiI\u0130\u0307\u0323\u0301\u200b.3'[]<> \u212b")


@hypothesis.given(st.one_of(st.text(), _MEETING))
def test_is_idempotent_and_clean(text):
    once = normalize(text)
    assert normalize(once) == once
    assert once == " ".join(once.split())
    assert all(c in " '" or unicodedata.category(c)[0] in "LMN" for c in once)
    assert not any(word[0] == "'" or word[-1] == "'" for word in once.split())
