"""One training step of a whole recogniser: time and memory, float32, fake quant and integers.

    python benchmarks/gradient_step.py

on as many cores as there are, in one run; each way has its own model, and is forgotten before the
next. Steps run as graphs (`--xla` has XLA compile them, which takes minutes for `conformer_l`).
"""

import gc
import statistics
import time

import keras
from absl import app, flags
from step_variants import VARIANTS, PeakMemory, training_step

FLAGS = flags.FLAGS
flags.DEFINE_string("preset", "conformer_l", "Preset.")
flags.DEFINE_multi_enum(
    "variants", ["float32", "fake quant", "w4a8", "w4a8, bfloat16"], list(VARIANTS), "Ways."
)
flags.DEFINE_integer("rows", 4, "Utterances of the batch.")
flags.DEFINE_integer("seconds", 10, "Length of each.")
flags.DEFINE_integer("steps", 3, "Timed steps, after one that traces.")
flags.DEFINE_bool("xla", False, "Whether XLA compiles the step.")


def main(_: list[str]) -> None:
    print(f"{FLAGS.preset}, {FLAGS.rows} x {FLAGS.seconds} s of audio\n")
    print("| variant | s a step | of float32 | peak, GB | traced in, s |\n|---|---|---|---|---|")
    plain, memory = None, PeakMemory()
    for variant in FLAGS.variants:
        memory.reset()
        times = []
        start = time.monotonic()
        step, _ = training_step(
            FLAGS.preset, variant, rows=FLAGS.rows, seconds=FLAGS.seconds, xla=FLAGS.xla
        )
        for _ in range(FLAGS.steps + 1):
            begun = time.monotonic()
            step()
            times.append(time.monotonic() - begun)
        seconds = statistics.median(times[1:])
        plain = plain or seconds
        print(
            f"| {variant} | {seconds:.2f} | {seconds / plain:.2f}x | {memory.gigabytes():.2f} "
            f"| {time.monotonic() - start - sum(times[1:]):.0f} |",
            flush=True,
        )
        del step
        keras.backend.clear_session()
        gc.collect()


if __name__ == "__main__":
    app.run(main)
