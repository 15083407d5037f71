import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from int4_conformer.text.normalize import normalize


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
        ("the U.S. is 3.5", "the us is 35"),
        ("wait...what…", "wait what"),
        ("snake_case (word)s", "snake case word s"),
        ("5 % + $3", "5 3"),
        ("ﬁne Ａ", "fine a"),
        ("CAFE\u0301", "café"),
        ("zero\u200bwidth", "zerowidth"),
        ("क्या", "क्या"),
    ],
)
def test_cases(text, expected):
    assert normalize(text) == expected


@hypothesis.given(st.text())
def test_is_idempotent_and_clean(text):
    once = normalize(text)
    assert normalize(once) == once
    assert once == " ".join(once.split())
    assert all(c in " '" or unicodedata.category(c)[0] in "LMN" for c in once)
    assert not any(word[0] == "'" or word[-1] == "'" for word in once.split())
