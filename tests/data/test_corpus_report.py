import pytest

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError


def test_it_stops_or_skips():
    with pytest.raises(UserError, match="Line 1 is broken"):
        CorpusReport("stop").fault("lines", "Line 1 is broken.")
    with pytest.raises(UserError, match=r"^Line 1 is broken\. Mend it\.$"):
        CorpusReport(advice="Mend it.").fault("lines", "Line 1 is broken.")
    report = CorpusReport("skip")
    report.fault("lines", "Line 1 is broken.")
    assert report.left_out == 1
    assert report.first() == "1 lines: Line 1 is broken."
    for number in range(2):
        report.leave_out("long ones", f"number {number}")
    assert report.first() == "2 long ones: number 0"
    with pytest.raises(UserError, match="must be one of skip, stop"):
        CorpusReport("ignore")


def test_what_is_not_broken_never_stops():
    report = CorpusReport("stop")
    report.leave_out("long ones", "a")
    report.notice("odd ones", "b")
    assert report.left_out == 1
    assert report.lines() == [
        "left out 1:",
        "       1 long ones",
        "         a",
        "used, but odd:",
        "       1 odd ones",
        "         b",
    ]


def test_nothing_to_say():
    report = CorpusReport()
    assert report.lines() == []
    assert report.left_out == 0
    assert report.first() == ""


@pytest.mark.parametrize("kinds", [1, 4, 7, 10])
def test_any_corpus_fits_on_a_screen(kinds):
    report = CorpusReport("skip")
    for number in range(1000):
        for kind in range(kinds):
            tell = (report.fault, report.leave_out, report.notice)[kind % 3]
            tell(f"of kind {kind}", f"number {number} {'long ' * 100}end")
    lines = report.lines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 210
    assert sum("   1,000 of kind" in line for line in lines) == kinds
    assert all(any(f"of kind {kind}" in line for line in lines) for kind in range(kinds))
    assert all(line.endswith("end") for line in lines if "number" in line)
