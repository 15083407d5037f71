"""Size and speed of the exported files, 4 bits against float32, with random weights.

    python benchmarks/export.py --presets=tiny,conformer_s,conformer_l
    python benchmarks/export.py --presets=conformer_l --recipes=w4a8,w2a8

exports each preset with both recipes and times whole utterances through `Recognizer` on one
thread, the two files in turn, so that the ratio holds when the machine's speed drifts; the median
ratio is printed. The output bias keeps greedy search at one blank per frame, as most frames of
speech are. Then a fresh process times the import of the runtime and the first transcript of 5 s.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import random_models
from absl import app, flags

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.models.presets import preset

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", ["tiny", "conformer_s", "conformer_m", "conformer_l"], "Presets.")
flags.DEFINE_list("recipes", ["float", "w4a8"], "Two recipes: the second against the first.")
flags.DEFINE_integer("vocab_size", 1024, "Output symbols.")
flags.DEFINE_float("seconds", 10.0, "Length of the utterance.")
flags.DEFINE_integer("runs", 11, "Timed runs of each file.")

_COLD_START = """
import sys, time
start = time.perf_counter()
from int4_conformer.lite import Recognizer
imported = time.perf_counter()
import numpy as np
samples = np.random.default_rng(0).normal(scale=0.1, size=5 * 16000).astype(np.float32)
Recognizer(sys.argv[1], gated=False).transcribe(samples)
print(imported - start, time.perf_counter() - start)
"""


def main(_: list[str]) -> None:
    samples = np.random.default_rng(0).normal(scale=0.1, size=int(16000 * FLAGS.seconds))
    samples = samples.astype(np.float32)
    first, second = FLAGS.recipes
    print(
        f"| preset | parameters | {first} bytes | {second} bytes | smaller | {first} | {second} | "
        "faster |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.presets:
            files = [Path(folder) / f"{name}_{recipe}.tflite" for recipe in FLAGS.recipes]
            for recipe, file in zip(FLAGS.recipes, files, strict=True):
                parameters = _export(name, recipe, file)
            recognizers = [Recognizer(file) for file in files]
            times = [_time(recognizers, samples) for _ in range(FLAGS.runs + 1)][1:]
            ratio = statistics.median(a / b for a, b in times)
            medians = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
            sizes = [file.stat().st_size for file in files]
            print(
                f"| {name} | {parameters:,} | {sizes[0]:,} | {sizes[1]:,} | "
                f"{sizes[0] / sizes[1]:.2f}x | {medians[0]:.1f} ms | {medians[1]:.1f} ms | "
                f"{ratio:.2f}x |",
                flush=True,
            )
        imported, transcript = _cold_start(files[1])
        print(f"\n{name}, cold process: import {imported:.2f} s, transcript {transcript:.2f} s")


def _export(name: str, recipe: str, file: Path) -> int:
    model = random_models.transducer(preset(name, vocab_size=FLAGS.vocab_size, recipe=recipe))
    random_models.export(model, file)
    return model.count_params()


def _time(recognizers: list[Recognizer], samples: np.ndarray) -> list[float]:
    seconds = []
    for recognizer in recognizers:
        start = time.perf_counter()
        recognizer.tokens(samples)
        seconds.append(time.perf_counter() - start)
    return seconds


def _cold_start(file: Path) -> list[float]:
    output = subprocess.run(
        [sys.executable, "-c", _COLD_START, str(file)], check=True, capture_output=True, text=True
    ).stdout
    return [float(value) for value in output.split()]


if __name__ == "__main__":
    app.run(main)
