"""A model, recordings and a killed run for tests of batches; none of it needs TensorFlow."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "compatibility" / "v0_1"
MODEL = FIXTURES / "cascade.tflite"
CLIPS = [FIXTURES / "clips" / f"{number}.flac" for number in range(4)]
# What the model hears in them.
TEXTS = [json.loads((FIXTURES / "expected.json").read_text())["clips"][path.name] for path in CLIPS]
TEXTS = [heard[MODEL.name]["text"] for heard in TEXTS]


def write_recordings(folder, count):
    """Copies of the clips, one in a hundred broken; returns their texts by path, None of those."""
    folder.mkdir(parents=True)
    texts = {}
    for number in range(count):
        path = folder / f"{number:04}.flac"
        if number % 100 == 50:
            path.write_bytes(b"fLaC no more")
            texts[str(path)] = None
        else:
            shutil.copy(CLIPS[number % 4], path)
            texts[str(path)] = TEXTS[number % 4]
    return texts


def write_noise(path, seconds=1.0, rate=16000, channels=1):
    """Noise in place of speech."""
    shape = [round(seconds * rate), channels]
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, shape)
    soundfile.write(path, noise, rate)
    return path


def rows(output):
    """All rows of a folder of JSON lines."""
    files = sorted(Path(output).glob("shard-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def require_each_once(output, texts):
    """That each recording is there once, with its text, or with a sentence that names it."""
    found = rows(output)
    assert sorted(row["audio"] for row in found) == sorted(texts)
    for row in found:
        assert row.get("text") == texts[row["audio"]]
        assert ("error" in row) == (texts[row["audio"]] is None)
        if "error" in row:
            assert row["audio"] in row["error"]


def start(*arguments, **options):
    """Starts a program in a session of its own, which `kill_at` kills."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_for(process, output, shards):
    """Waits until a program has written so many shards."""
    deadline = time.monotonic() + 600
    while len(list(Path(output).glob("shard-*.jsonl"))) < shards:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_at(process, output, shards):
    """Kills a program when it has written so many shards, and waits until its workers, which it
    did not live to tell, have ended, too."""
    wait_for(process, output, shards)
    deadline = time.monotonic() + 600
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_and_run_again(command, output, texts, failed):
    """What the second run says, and how many recordings the first one was done with; both runs
    together have each of them once."""
    kill_at(start(*command), output, shards=5)
    before = rows(output)
    assert 0 < len(before) < len(texts)
    process = start(*command)
    _, told = process.communicate()
    assert process.returncode == 0, told
    require_each_once(output, texts)
    assert json.loads((output / "summary.json").read_text())["failed"] == failed
    assert not list(output.glob("*.partial"))
    return told, len(before)
