import signal
import subprocess
import sys
import time

import pytest

from int4_conformer.training import interruption
from int4_conformer.training.interruption import Interruption

PROGRAM = """
import hashlib, signal
from int4_conformer.training.interruption import Interruption

# A program in the background of a script begins with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Interruption():
    print("begun", flush=True)
    # As a step that is compiled: minutes in which Python runs no handler.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000_000)
"""


def interrupted_twice():
    for _ in range(2):
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_ends_no_program_that_goes_on(monkeypatch):
    monkeypatch.setattr(interruption, "_GRACE_SECONDS", 0.1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stops = Interruption()
    try:
        with pytest.raises(KeyboardInterrupt), stops:
            interrupted_twice()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stops.exit_status == 130
    time.sleep(0.2)


def test_signals_are_heard_while_python_is_not():
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().startswith("stopping after this step; again ends at once")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
