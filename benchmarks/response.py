"""What a stream computes between a word and its text, by a cascade of the size of conformer_s.

    python benchmarks/response.py

Random weights: 8 causal blocks of 144 and 8 on top in chunks of 640 ms, 1024 symbols, w4a8. A
minute of noise is fed in parts of 100 ms, as from a microphone, on one thread. Prints what a part
takes, and what the end of an utterance takes, when the second pass hears the rest: that is added to
the silence that an endpoint waits for.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import random_models
from absl import app

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.models.presets import preset

_STEP = 1600


def main(_: list[str]) -> None:
    config = preset("conformer_s", recipe="w4a8")
    first = dataclasses.replace(config.encoder, blocks=8, chunk=1, left_context=64)
    second = dataclasses.replace(config.encoder, blocks=8, chunk=16, left_context=64)
    config = dataclasses.replace(config, encoder=first, second_pass=second)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.tflite"
        random_models.export(random_models.transducer(config), file)
        recognizer = Recognizer(file, gated=False)
    noise = np.random.default_rng(0).normal(scale=0.1, size=60 * 16000).astype(np.float32)
    parts, ends = [], []
    for utterance in np.split(noise, 20):
        stream = recognizer.stream()
        for start in range(0, len(utterance), _STEP):
            begun = time.perf_counter()
            stream.feed(utterance[start : start + _STEP])
            parts.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        stream.finish()
        ends.append(time.perf_counter() - begun)
    print("| | median | p95 | longest |\n|---|---|---|---|")
    for name, times in (("100 ms of audio", parts), ("the end of an utterance", ends)):
        median, late, longest = (1000 * np.quantile(times, q) for q in (0.5, 0.95, 1.0))
        print(f"| {name} | {median:.1f} ms | {late:.1f} ms | {longest:.1f} ms |")


if __name__ == "__main__":
    app.run(main)
