import time

import pytest

from int4_conformer.training.pace import Pace, Usage


def test_before_the_first_step():
    pace = Pace()
    assert pace.steps_per_second == pace.audio_hours_per_hour == 0.0
    assert pace.left(10, 1) is None


def test_the_last_steps_count():
    pace = Pace()
    for _ in range(50):
        pace.step(100.0, 1.0)
    for _ in range(50):
        pace.step(0.5, 30.0)
    assert pace.steps_per_second == pytest.approx(2.0)
    assert pace.audio_hours_per_hour == pytest.approx(60.0)
    pace.evaluation(7.0)
    assert pace.left(steps=10, evaluations=3) == pytest.approx(5.0 + 21.0)


def test_usage_goes_on_from_before():
    usage = Usage(seconds=100.0, processor_seconds=50.0)
    begun, processor = time.monotonic(), time.process_time()
    while time.process_time() - processor < 0.05:
        pass
    assert usage.seconds == pytest.approx(100.0 + time.monotonic() - begun, abs=0.02)
    assert usage.processor_seconds == pytest.approx(
        50.0 + time.process_time() - processor, abs=0.02
    )
    assert usage.memory_mb > 10
