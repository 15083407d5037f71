import pytest

from int4_conformer.cli.demo_report import draw, table

OF = {"steps": 1500, "utterances": 5000}
REPORT = {
    "bytes_float32": 4_000_000,
    "bytes_int4": 700_000,
    "rtf_float32": 0.004,
    "rtf_int4": 0.002,
    "speedup": 2.0,
    "wer_int4": 0.0174,
    "trainings": {
        "float": {"title": "float32", "seeds": 3, **OF, "wer": 0.0151, "bytes": 4_100_000},
        "ptq_int4": {
            "title": "4 bits, after training",
            "seeds": 3,
            **OF,
            "wer": 0.04,
            "bytes": 900_000,
        },
        "w4a8": {"title": "4 bits, trained", "seeds": 3, **OF, "wer": 0.0165, "bytes": 700_000},
    },
    "spoken": "stop",
    "recognised": "stop",
    "people": [],
}


def test_the_table_says_what_is_of_this_run_and_what_is_not():
    lines = table(REPORT).splitlines()
    assert lines[1].split() == ["tiny", "WER", "bytes", "real-time", "factor"]
    assert lines[2].split() == ["float32", "1.51%", "*", "4,000,000", "0.00400"]
    assert lines[3].split()[-3:] == ["4.00%", "*", "900,000"]
    assert lines[4].split()[:3] == ["4", "bits,", "trained:"]
    assert lines[4].split()[5:] == ["1.74%", "700,000", "0.00200"]
    # Ends of columns.
    assert {line.index("%") for line in lines[2:5]} == {lines[2].index("%")}
    assert lines[6] == "This run is 5.71 times smaller than float32, and 2.00 times as fast."
    assert lines[7].startswith("* mean of 3 earlier trainings of 1,500 steps on 5,000 utterances")
    assert "models of the package" not in table(REPORT)


def test_what_people_said_comes_last():
    people = [{"model": "commands", "spoken": "enter five", "recognised": "enter nine"}]
    *_, header, row = table(REPORT | {"people": people}).splitlines()
    assert header.split() == ["model", "spoken", "recognised"]
    assert row.split() == ["commands", "enter", "five", "enter", "nine"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_picture(tmp_path, seeds):
    report = REPORT | {
        "trainings": {name: of | {"seeds": seeds} for name, of in REPORT["trainings"].items()}
    }
    draw(report, tmp_path / "report.png")
    assert [path.name for path in tmp_path.iterdir()] == ["report.png"]
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert f"mean of {seeds} earlier training{'s' * (seeds > 1)} of" in table(report)
