import io

import pytest
import rich.console

from int4_conformer.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that `time.monotonic` tells; the test moves them on."""
    seconds = [0.0]
    monkeypatch.setattr("int4_conformer.progress.time.monotonic", lambda: seconds[0])
    return seconds


def test_plain_lines_at_intervals(capsys, clock):
    with Progress(100, "train", interval=10) as progress:
        for step in range(1, 7):
            clock[0] += 4.0
            progress.update(step, f"loss {step}")
    assert capsys.readouterr().out == "train 3/100 loss 3\ntrain 6/100 loss 6\n"


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


def test_a_terminal_gets_a_bar(monkeypatch):
    screen = io.StringIO()
    console = rich.console.Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(rich.console, "Console", lambda: console)
    with Progress(50, "train") as progress:
        progress.update(20, "loss 3.125")
        progress.line("step 20  [bold] loss")
    shown = screen.getvalue()
    assert "train" in shown
    assert "20/50" in shown
    assert "loss 3.125" in shown
    assert "step 20  [bold] loss" in shown
