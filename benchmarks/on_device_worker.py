"""Runs one file for `on_device.py`, which asks line by line on the standard input.

The first line that comes back is how many seconds it took from opening the file to the first
result. "run" has one utterance or segment recognised, and gives its seconds; "memory" gives the
megabytes that the process held at most.
"""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE = 16000
SECONDS = 10.0


def tflite(path: str, case: str, threads: int) -> Callable[[], None]:
    from int4_conformer.lite import Recognizer

    recognizer = Recognizer(path, num_threads=threads, gated=False)
    if case == "whole":
        recognizer.tokens(_noise(1.0))
        samples = _noise(SECONDS)
        return lambda: recognizer.tokens(samples)
    stream, segment = recognizer.stream(), _noise(float(case))
    stream.feed(segment)
    return lambda: stream.feed(segment)


def onnx(path: str, case: str, threads: int) -> Callable[[], None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
    inputs = session.get_inputs()
    given = {x.name: np.zeros(x.shape, types[x.type]) for x in inputs}
    features, *states = given
    given[features] = np.random.default_rng(0).normal(size=given[features].shape)
    given[features] = given[features].astype(np.float32)

    def run() -> None:
        _, *after = session.run(None, given)
        given.update(zip(states, after, strict=True))

    run()
    return run


def _noise(seconds: float) -> np.ndarray:
    samples = np.random.default_rng(0).normal(scale=0.1, size=round(RATE * seconds))
    return samples.astype(np.float32)


def _memory() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def main() -> None:
    path, case, threads = sys.argv[1:]
    opens = onnx if path.endswith(".onnx") else tflite
    # What is imported is not the file's.
    importlib.import_module("onnxruntime" if opens is onnx else "int4_conformer.lite.recognizer")
    begun = time.perf_counter()
    run = opens(path, case, int(threads))
    print(time.perf_counter() - begun, flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(_memory(), flush=True)
            continue
        begun = time.perf_counter()
        run()
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main()
