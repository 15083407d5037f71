"""One training step of a whole recogniser: time and memory, float32, fake quant and integers.

    python benchmarks/gradient_step.py

on as many cores as there are, in one run, each way in a process of its own. Steps run as graphs
(`--xla` has XLA compile them, which takes minutes for `conformer_l`). The memory is the most that
the process ever held, TensorFlow and the tracing included.
"""

import concurrent.futures
import multiprocessing
import statistics
import time
from typing import Any

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
    plain = None
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for variant in FLAGS.variants:
            seconds, traced, gigabytes = pool.submit(
                _measured,
                FLAGS.steps,
                name=FLAGS.preset,
                variant=variant,
                rows=FLAGS.rows,
                seconds=FLAGS.seconds,
                xla=FLAGS.xla,
            ).result()
            plain = plain or seconds
            print(
                f"| {variant} | {seconds:.2f} | {seconds / plain:.2f}x | {gigabytes:.2f} "
                f"| {traced:.0f} |",
                flush=True,
            )


def _measured(steps: int, **settings: Any) -> tuple[float, float, float]:
    """Seconds of a step, and of what comes before the first; gigabytes."""
    memory, times, start = PeakMemory(), [], time.monotonic()
    step, _ = training_step(**settings)
    for _ in range(steps + 1):
        begun = time.monotonic()
        step()
        times.append(time.monotonic() - begun)
    before = time.monotonic() - start - sum(times[1:])
    return statistics.median(times[1:]), before, memory.gigabytes()


if __name__ == "__main__":
    app.run(main)
