import pytest


@pytest.fixture
def spelled(programs):
    return programs("spelled")["spelled"].spelled


@pytest.mark.parametrize(
    ("said", "written", "words"),
    [
        ("v a d r thirty one oh seven", "VADR 3107.", "v a d r 3 1 0 7"),
        ("september fifteenth nineteen sixty five", "September 15, 1965.", "september 1 5 1 9 6 5"),
        ("march twenty third two thousand", "March 23rd, 2000", "march 2 3 2 0 0 0"),
        ("two thousand five", "2005", "2 0 0 5"),
        ("one hundred twenty three", "123", "1 2 3"),
        ("six hundred and one", "600 and 1", "6 0 0 and 1"),
        ("nine hundred oh five", "900, 05", "9 0 0 0 5"),
        ("nine five twenty twenty one ten", "9 5 20 21 10", "9 5 2 0 2 1 1 0"),
        ("w c v y h seventy seven forty four", "WC, VYH, 7744.", "w c v y h 7 7 4 4"),
        ("v q d b forty nine hundred", "VQDB 4900", "v q d b 4 9 0 0"),
        ("one twenty", "120.", "1 2 0"),
        ("nine hundred", "900", "9 0 0"),
        ("hundred", "100", "1 0 0"),
        ("two twenty four forty nine", "2, 24, 49", "2 2 4 4 9"),
        ("g a b h two", "GABH2.", "g a b h 2"),
        ("f r a n c e s", "F-R-A-N-C-E-S", "f r a n c e s"),
        ("twentieth of may", "20th of May", "2 0 of may"),
        ("four eight six three nine five oh", "486, 3950.", "4 8 6 3 9 5 0"),
        ("stop it i can't", "Stop it. I can't.", "stop it i cant"),
        ("", " ", ""),
    ],
)
def test_both_come_to_the_same(spelled, said, written, words):
    assert spelled(said) == spelled(written) == words
