import io
import sys
import time

import pytest
import rich.console

from int4_conformer.progress import Progress, duration, waiting


@pytest.fixture
def clock(monkeypatch):
    """Seconds that `time.monotonic` tells; the test moves them on, and nothing beats by itself."""
    seconds = [0.0]
    monkeypatch.setattr("int4_conformer.progress.time.monotonic", lambda: seconds[0])
    monkeypatch.setattr("int4_conformer.progress._Heartbeat._run", lambda heartbeat: None)
    return seconds


def test_plain_lines_at_intervals(capsys, clock):
    with Progress(100, "train", interval=10) as progress:
        for step in range(1, 7):
            clock[0] += 4.0
            progress.update(step, f"loss {step}")
    assert capsys.readouterr().out == (
        "train 1/100  loss 1  6 min 36 s left\ntrain 4/100  loss 4  6 min 24 s left\n"
    )


def test_the_time_left_does_not_count_what_was_done_before(capsys, clock):
    with Progress(100, "train", start=90) as progress:
        clock[0] += 6.0
        progress.update(93)
    assert capsys.readouterr().out == "train 93/100  14 s left\n"


def test_the_time_left_may_be_told(capsys, clock):
    with Progress(100, "train") as progress:
        clock[0] += 6.0
        progress.update(10, left=7500.0)
    assert capsys.readouterr().out == "train 10/100  2 h 05 min left\n"


def test_steps_may_be_seconds_and_shown_elsewhere(capsys, clock):
    with Progress(7200, "hearing", shown=duration, file=sys.stderr) as progress:
        clock[0] += 6.0
        progress.update(600)
        progress.line("a note")
    assert capsys.readouterr() == ("", "hearing 10 min 00 s/2 h 00 min  1 min 06 s left\na note\n")


def test_short_work_is_quiet(capsys, clock):
    with Progress(2, "evaluate") as progress:
        progress.update(1)
        progress.update(2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_line_stays(capsys):
    with Progress(2, "train") as progress:
        progress.line("step 1  [bold] loss")
    assert capsys.readouterr().out == "step 1  [bold] loss\n"


def test_what_the_count_waits_for(capsys, clock):
    with Progress(100, "train") as progress:
        with progress.during("evaluating") as note:
            clock[0] += 6.0
            note("12 done")
            clock[0] += 2.0
        clock[0] += 6.0
        progress.update(10)
    assert capsys.readouterr().out == (
        "evaluating\n"
        "train 0/100  evaluating: 12 done (6 s so far)\n"
        "evaluating: done in 8 s\n"
        "train 10/100  2 min 06 s left\n"
    )


def test_no_silence(capsys):
    with Progress(100, "train", interval=0.5) as progress, progress.during("compiling"):
        time.sleep(2.5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling"
    assert lines[-1].startswith("compiling: done in ")
    assert any(line.startswith("train 0/100  compiling (") for line in lines[1:-1])


def test_waiting(capsys, clock):
    with waiting("starting"):
        clock[0] += 1.0
    with pytest.raises(OSError), waiting("reading"):  # noqa: PT011
        raise OSError
    with waiting("creating"):
        clock[0] += 80.0
    assert capsys.readouterr().out == (
        "starting\nreading\ncreating\ncreating: done in 1 min 20 s\n"
    )


def test_waiting_is_not_silent(capsys):
    with waiting("reading", interval=0.5):
        time.sleep(1.5)
    assert capsys.readouterr().out.startswith("reading\nreading (1 s so far)\n")


def test_durations():
    assert [duration(seconds) for seconds in (0.2, 59.4, 59.6, 3599.0, 3600.0, 90000.0)] == [
        *("0 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "25 h 00 min")
    ]


@pytest.fixture
def terminal(monkeypatch):
    """Makes stdout a terminal; returns what is shown there."""
    screen = io.StringIO()
    console = rich.console.Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    return screen


def test_a_terminal_gets_a_bar(terminal):
    with Progress(50, "train") as progress:
        progress.update(20, "loss 3.125")
        progress._bar.refresh()
        progress.line("step 20  [bold] loss")
        with progress.during("evaluating [1]"):
            pass
    shown = terminal.getvalue()
    for text in ("train", "20/50", "loss 3.125", "step 20  [bold] loss", "evaluating [1] (0 s"):
        assert text in shown


def test_a_bar_beside_results_goes_away(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(7200, "hearing", shown=duration, file=screen) as progress:
        progress.update(600)
        progress._bar.refresh()
    shown = screen.getvalue()
    assert "10 min 00 s/2 h 00 min" in shown
    # The line is emptied at the end.
    assert shown.rstrip("\n").endswith("\x1b[2K")


def test_without_rich_a_terminal_gets_lines(terminal, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with Progress(50, "train") as progress:
        progress.line("step 20")
    assert capsys.readouterr().out == "step 20\n"


def test_short_waiting_may_be_quiet(capsys, clock, monkeypatch):
    beats = []
    monkeypatch.setattr(
        "int4_conformer.progress._Heartbeat.start", lambda heartbeat: beats.append(heartbeat._beat)
    )
    monkeypatch.setattr("int4_conformer.progress._Heartbeat.stop", lambda heartbeat: None)
    with waiting("reading", at_once=False):
        clock[0] += 1.0
        beats[-1]()
    assert capsys.readouterr().out == ""
    with waiting("reading", at_once=False):
        for _ in range(8):
            clock[0] += 1.0
            beats[-1]()
    assert capsys.readouterr().out == (
        "reading (2 s so far)\nreading (7 s so far)\nreading: done in 8 s\n"
    )
