"""Word errors against the tables of scoring tools."""

import pytest

from int4_conformer.text.metrics import word_errors

# jitsi/jiwer: substitutions, deletions and insertions as its tests have them. Left out are rates of
# empty references: there jiwer takes the number of insertions for the rate, which is infinite here.
JIWER = {
    # tests/test_alignment.py `test_all_three`
    "all three": (["this is a test of skill"], ["this was a messy test"], (1, 2, 1)),
    # tests/test_alignment.py `test_show_measures`
    "show measures": (
        ["this test will have a high word error rate"],
        ["no it will not"],
        (3, 5, 0),
    ),
    # tests/test_alignment.py `test_line_width`
    "line width": (
        ["this sentence could be split"],
        ["this sentence will be split by ai"],
        (1, 0, 2),
    ),
    # tests/test_count_errors.py `test_count_word_errors`
    "count errors": (
        ["sub", "sub", "sub", "sub", "sub", "this was", "del", "hit"],
        ["bus", "bus", "bus", "usb", "bsu", "this was ins", "", "hit"],
        (5, 1, 1),
    ),
    # tests/test_empty_ref.py `test_multiple_one_empty_ref`, `test_empty_ref`, `test_empty_hyp`
    "one empty reference": (["hello world", ""], ["hello world", "done"], (0, 0, 1)),
    "empty reference": ([""], ["hello"], (0, 0, 1)),
    "empty hypothesis": (["hello"], [""], (0, 1, 0)),
}


@pytest.mark.parametrize(("references", "hypotheses", "counts"), JIWER.values(), ids=JIWER)
def test_counts_of_jiwer(references, hypotheses, counts):
    assert counted(references, hypotheses) == counts


@pytest.mark.parametrize(
    ("reference", "hypothesis", "rate"),
    [
        ("X", "X", 0),
        ("X", "X X Y Y", 3),
        ("X Y X", "X Z", 2 / 3),
        ("X", "Y", 1),
        ("X", "Y Z", 2),
    ],
)
def test_rates_of_morris(reference, hypothesis, rate):
    """jiwer's tests/test_measures.py `test_known_values`, from Morris et al., "From WER and RIL to
    MER and WIL", Interspeech 2004."""
    assert word_errors([reference], [hypothesis]).wer == pytest.approx(rate)


@pytest.mark.parametrize(
    ("references", "hypotheses"),
    [(["i", "am i good"], ["i am", "i good"]), (["am i good", "i"], ["i good", "i am"])],
)
def test_the_rate_of_a_corpus_is_over_its_utterances(references, hypotheses):
    """jiwer's tests/test_measures.py `test_permutations_invariance`."""
    assert word_errors(references, hypotheses).wer == 0.5


# usnistgov/SCTK, a letter for each word: only which are equal matters. sclite weighs a substitution
# 4, a deletion or insertion 3, so that of alignments with as few errors it may take another, and
# need not take one with the fewest: 4t0c0207 of test1 has 4, 4 and 1 there, and 6, 3 and 0 here.
SCTK = {
    # src/asclite/test/std_benchmark.cpp, tests 0 to 5; their costs, by those weights, are 0, 400,
    # 300, 300, 900 and 900.
    "equal": ("abc", "abc", (0, 0, 0)),
    "one substitution": ("afc", "abc", (1, 0, 0)),
    "one insertion": ("ac", "abc", (0, 0, 1)),
    "one deletion": ("abc", "ac", (0, 1, 0)),
    "all inserted": ("", "abc", (0, 0, 3)),
    "all deleted": ("abc", "", (0, 3, 0)),
    # src/sclite/testdata/base/test1.pra
    "4t0c0203": (
        "abcdefghijklmnopqrsqtuvwxeymzABCkDEFGH",
        "abcdefghijklmnopqrxIJtuvwxymzABCkKEFGH",
        (3, 1, 1),
    ),
    "4t0c0204": (
        "abcdefghbcijklmnopqrfstuvwxniycrzAB",
        "abcdCghbcDEFclGnopqrfsHIuvwxniycrzAB",
        (6, 1, 2),
    ),
    "4t0c0206": (
        "abcdefghijklmnopqlmrstuvwxyzABtChDEFGHIJKLtMNOyP",
        "tbcdQRtSghijklnopqlTstuvwUymAtVhDEFGHIWXYLtMNOyP",
        (9, 3, 3),
    ),
    # src/sclite/testdata/base/test3.pra
    "2347-a-008": ("abcdefghijklmijnopqrs", "tabdefguvijklmwnopqxryz", (3, 2, 4)),
    "2347-b-015": (
        "abcdefghijklemknopkqrstoumkvlemwxyzmABCmi",
        "DEbFaEGkleHknIJxKLEemcMNiOP",
        (18, 15, 1),
    ),
    "3129-a-003": (
        "abcdefgahcijklalamanopqarstaauvwxyzAAwB",
        "pqarCjpjuvwxyzDjEwBF",
        (6, 21, 2),
    ),
}


@pytest.mark.parametrize(("reference", "hypothesis", "counts"), SCTK.values(), ids=SCTK)
def test_counts_of_sclite(reference, hypothesis, counts):
    assert counted([" ".join(reference)], [" ".join(hypothesis)]) == counts


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("2 3 4 5 6 7", "1 3 4 5", (1, 2, 0)),
        ("1 3 4 5", "2 3 4 5 6 7", (1, 0, 2)),
        ("1 3", "1 2", (1, 0, 0)),
    ],
)
def test_counts_of_kaldi(reference, hypothesis, counts):
    """kaldi-asr/kaldi, src/util/edit-distance-test.cc `TestEditDistance2`."""
    assert counted([reference], [hypothesis]) == counts


@pytest.mark.parametrize(
    ("reference", "hypothesis", "distance"),
    [
        ("1", "", 1),
        ("1", "1 2", 1),
        ("1 2 3 4", "1 2 4", 1),
        ("1 2 3 4 5", "1 2 4", 2),
        ("1 2 3 4 5", "1 2 4 6", 2),
        ("1 2 3 4 5 1", "1 2 4 6 1", 2),
        ("1 2 3 4 5 1", "1 2 4 6 1 10", 3),
    ],
)
def test_distances_of_kaldi(reference, hypothesis, distance):
    """kaldi-asr/kaldi, src/util/edit-distance-test.cc `TestEditDistance`."""
    assert word_errors([reference], [hypothesis]).errors == distance


def counted(references, hypotheses):
    errors = word_errors(references, hypotheses)
    return errors.substitutions, errors.deletions, errors.insertions
