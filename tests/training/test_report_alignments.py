from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.text.metrics import WordErrors, word_errors
from int4_conformer.training.report_alignments import (
    aligned,
    alignments,
    by_speaker,
    frequent_errors,
)

WORDS = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)


def transcript(reference, hypothesis, **more):
    return {"reference": reference, "hypothesis": hypothesis, **more}


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_words_are_paired_up_as_errors_are_counted(texts):
    utterances = aligned([transcript(*pair) for pair in texts])
    for (reference, hypothesis), utterance in zip(texts, utterances, strict=True):
        assert [said for _, said, _ in utterance.pairs if said] == reference.split()
        assert [heard for _, _, heard in utterance.pairs if heard] == hypothesis.split()
    total = sum((utterance.errors for utterance in utterances), WordErrors())
    assert total == word_errors(*map(list, zip(*texts, strict=True)))


def test_each_kind_of_error_has_a_letter_of_its_own():
    (utterance,) = aligned([transcript("one two three", "one too three four")])
    assert utterance.errors == WordErrors(substitutions=1, insertions=1, words=3)
    html = alignments([utterance])
    assert "2 errors in 3 words (66.67%): 1 substituted, 0 deleted, 1 inserted" in html
    card = html[html.index('class="card utterance"') :]
    assert "<span>one</span>" in card
    assert '<span class="mark substitution"><del>two</del><ins>too</ins>' in card
    assert '<span class="mark insertion"><span>∅</span><ins>four</ins>' in card
    assert [letter in card for letter in (">S<", ">I<", ">D<")] == [True, True, False]


def test_the_worst_come_first_and_what_is_left_out_is_counted():
    heard = {1: "a b x", 2: "a x x", 3: "x x x"}
    bad = [transcript("a b c", heard[errors], utterance=f"bad-{errors}") for errors in (1, 3, 2)]
    good = [transcript("a", "a", utterance=f"good-{number}") for number in range(107)]
    html = alignments(aligned([*good, *bad]))
    places = [html.index(name) for name in ("bad-3", "bad-2", "bad-1", "good-0", "good-104")]
    assert sorted(places) == places
    assert "good-105" not in html
    assert "2 more utterances are not shown" in html


def test_frequent_errors():
    lines = [transcript("a b", "a x"), transcript("b", "x"), transcript("c", "")]
    html = frequent_errors(aligned(lines))
    cells = '<td>substitution</td><td>b</td><td>x</td><td class="number">2</td>'
    assert cells in html
    assert "deletion" not in html
    assert frequent_errors(aligned(lines[1:])) == ""


def test_speakers_come_worst_first():
    lines = [
        transcript("a b c d", "a b c d", speaker="anna"),
        transcript("a b", "a x", speaker=7),
        transcript("a b", "a b", speaker=7),
        transcript("a", ""),
    ]
    html = by_speaker(aligned(lines))
    assert html.index("<td>7</td>") < html.index("<td>anna</td>")
    assert "25.00%" in html
    assert by_speaker(aligned(lines[3:])) == ""
