import pytest

from int4_conformer.errors import UserError
from int4_conformer.text.reference_normalizer import compared
from int4_conformer.text.writing import WORDS, Writing


@pytest.mark.parametrize(
    ("normalizer", "text", "expected"),
    [
        ("words", "It's 25 [noise], OK?", "it's 25 ok"),
        ("characters", "今天 天气好。", "今 天 天 气 好"),
        ("characters", "", ""),
        ("as_written", "  It’s 25 [noise], OK?", "It's 25 , OK?"),
        ("numbers", "Twenty-five is 25, not 26.", "twenty five is twenty five not twenty six"),
        ("numbers", "1,125 and 999,999", "one thousand one hundred twenty five and "
         "nine hundred ninety nine thousand nine hundred ninety nine"),
        ("numbers", "007, 0 and mp3", "zero zero seven zero and mp3"),
        ("numbers", "1,23 or 1234567", "one twenty three or one two three four five six seven"),
        ("numbers", "٣ and ²", "٣ and two"),
        ("numbers", "1" * 5000, " ".join(["one"] * 5000)),
    ],
)  # fmt: skip
def test_what_counts(normalizer, text, expected):
    assert compared(text, normalizer, WORDS) == expected


def test_rules_of_case_hold():
    assert compared("ILIK 5", "numbers", Writing(locale="tr")) == "ılık five"


def test_others_are_refused():
    with pytest.raises(UserError, match="must be one of words, characters, numbers, as_written"):
        compared("a", "whisper", WORDS)
