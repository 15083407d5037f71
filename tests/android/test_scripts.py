"""The scripts of the Android kit, with a stand-in for adb."""

import os
import subprocess

import pytest

from tests.android.kotlin_kit import KIT

# Says what benchmark_model says, and keeps what it was asked.
ADB = """#!/bin/sh
echo "$*" >> "$ADB_LOG"
case "$*" in
  *--graph=*) echo "Inference timings in us: Init: 20283, Inference (avg): 2664.73" ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script beside such an adb; gives how it ended and what adb was asked."""
    adb = tmp_path / "bin" / "adb"
    adb.parent.mkdir()
    adb.write_text(ADB)
    adb.chmod(0o755)
    log = tmp_path / "log"
    environment = os.environ | {"PATH": f"{adb.parent}:{os.environ['PATH']}", "ADB_LOG": str(log)}

    def run(script, *arguments):
        result = subprocess.run(
            [KIT / script, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return result, log.read_text().splitlines() if log.exists() else []

    return run


@pytest.mark.parametrize(("delegate", "xnnpack"), [("xnnpack", "true"), ("none", "false")])
def test_latency_of_each_signature(run, tmp_path, delegate, xnnpack):
    model, benchmark = tmp_path / "model.tflite", tmp_path / "benchmark_model"
    model.write_bytes(b"\0first_pass\0predict\0join\0" + b'{"delegate": "%s"}' % delegate.encode())
    benchmark.touch()
    result, asked = run("latency.sh", model, benchmark, "3")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [[name, "2.66", "ms"] for name in ("first_pass", "predict", "join")]
    runs = [line for line in asked if "--graph=" in line]
    assert len(runs) == 3
    for line in runs:
        assert f"--use_xnnpack={xnnpack}" in line
        assert "--num_threads=3" in line


def test_a_model_is_given_to_the_app(run, tmp_path):
    (tmp_path / "model.tflite").touch()
    result, asked = run("push_model.sh", tmp_path / "model.tflite")
    assert result.returncode == 0, result.stderr
    assert "files/recognizer.tflite" in asked[1]
    assert "run-as org.int4conformer.app" in asked[1]


@pytest.mark.parametrize("script", ["latency.sh", "push_model.sh"])
def test_a_missing_file_is_told(run, tmp_path, script):
    result, asked = run(script, tmp_path / "absent.tflite", tmp_path / "absent")
    assert result.returncode == 2
    assert "There is no file" in result.stderr
    assert not asked
