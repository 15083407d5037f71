"""Training steps on a GPU: time and memory of the presets, and who multiplies their integers.

    python benchmarks/gpu.py                              # at most six minutes
    python benchmarks/gpu.py --presets=tiny --steps=2     # tries the script on any machine

Every step is compiled by XLA, on one batch of noise. What would begin after `--minutes` is left
out, and said. The integer products of each shape are compared with NumPy's, in int32: with the op
as it is, compiled by XLA, and in floats; and XLA's program is searched for what multiplies int8.
"""

import re
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from step_variants import VARIANTS, PeakMemory, training_step

from int4_conformer.errors import UserError
from int4_conformer.quant import int_matmul

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", ["conformer_s", "conformer_m", "conformer_l"], "Presets.")
flags.DEFINE_integer("steps", 10, "Timed steps of each.")
flags.DEFINE_integer("rows", 16, "Utterances of the batch.")
flags.DEFINE_integer("seconds", 15, "Length of each.")
flags.DEFINE_float("minutes", 6.0, "Time after which nothing more begins.")

# Rows, width and columns of the feed-forward layers' products of conformer_s, m and l.
_PRODUCTS = ((6000, 144, 576), (6000, 256, 1024), (6000, 512, 2048), (6000, 2048, 512))
_BACKENDS = ("native", "xla", "exact_float")


def main(_: list[str]) -> None:
    begun = time.monotonic()
    gpus = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "the CPU"
    print(f"{name}, TensorFlow {tf.__version__}\n")
    _products()
    print(
        f"\n| preset, {FLAGS.rows} x {FLAGS.seconds} s | variant | ms a step | of float32 "
        "| audio/s | peak, GB | compiled in, s | loss |\n|---|---|---|---|---|---|---|---|"
    )
    for preset in FLAGS.presets:
        plain = None
        for variant in VARIANTS:
            if time.monotonic() - begun > 60 * FLAGS.minutes:
                print(f"| {preset} | {variant} | left out: {FLAGS.minutes:g} minutes are over |")
                continue
            found = _row(preset, variant, plain)
            plain = found if variant == "float32" else plain
    print(f"\n{time.monotonic() - begun:.0f} s in all")


def _row(preset: str, variant: str, plain: float | None) -> float:
    """Prints a row and returns the milliseconds of a step."""
    memory = PeakMemory()
    memory.reset()
    step, _ = training_step(preset, variant, rows=FLAGS.rows, seconds=FLAGS.seconds, xla=True)
    start = time.monotonic()
    # Its first one is compiled.
    step()
    compiled = time.monotonic() - start
    times, loss = [], 0.0
    for _ in range(FLAGS.steps):
        start = time.perf_counter()
        # A float is on the host, so that the step has ended.
        loss = step()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    ratio = f"{1000 * seconds / plain:.2f}x" if plain else ""
    print(
        f"| {preset} | {variant} | {1000 * seconds:.1f} | {ratio} "
        f"| {FLAGS.rows * FLAGS.seconds / seconds:,.0f} s | {memory.gigabytes():.2f} "
        f"| {compiled:.0f} | {loss:.1f} |",
        flush=True,
    )
    return 1000 * seconds


def _products() -> None:
    """Which backends are exact, how fast they are, and what XLA's program calls."""
    print(f"| rows x width x columns | {' | '.join(_BACKENDS)} | float32 | XLA calls |")
    print(f"|---|{'---|' * (len(_BACKENDS) + 2)}")
    for rows, width, columns in _PRODUCTS:
        rng = np.random.default_rng(width)
        codes = rng.integers(-128, 128, [rows, width]).astype(np.int8)
        weight = rng.integers(-7, 8, [width, columns]).astype(np.int8)
        # Some rows, for NumPy has no fast product of integers.
        expected = codes[:64].astype(np.int32) @ weight.astype(np.int32)
        a, b = tf.constant(codes), tf.constant(weight)
        cells = []
        for backend in _BACKENDS:
            run = tf.function(
                lambda x, y, backend=backend: int_matmul(x, y, b_limit=7, backend=backend)
            )
            try:
                exact = np.array_equal(run(a, b)[:64], expected)
                cells.append(
                    f"{'exact' if exact else 'NOT EXACT'}, {_milliseconds(run, a, b):.3f} ms"
                )
            except (tf.errors.OpError, UserError) as error:
                cells.append(f"not here: {str(error).splitlines()[0][:60]}")
        floats = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
        cells.append(f"{_milliseconds(tf.function(tf.matmul), *floats):.3f} ms")
        print(
            f"| {rows} x {width} x {columns} | {' | '.join(cells)} | {_calls(a, b)} |", flush=True
        )


def _milliseconds(run: tf.types.experimental.GenericFunction, *operands: tf.Tensor) -> float:
    """Of one run, launched several times before it is waited for."""
    run(*operands)
    tf.test.experimental.sync_devices()
    start = time.perf_counter()
    for _ in range(10):
        run(*operands)
    tf.test.experimental.sync_devices()
    return 100 * (time.perf_counter() - start)


def _calls(a: tf.Tensor, b: tf.Tensor) -> str:
    """What multiplies in XLA's optimised program: a library's function, or XLA's own code."""
    run = tf.function(lambda x, y: tf.matmul(x, y, output_type=tf.int32), jit_compile=True)
    program = run.experimental_get_compiler_ir(a, b)(stage="optimized_hlo")
    targets = set(re.findall(r'custom_call_target="([^"]+)"', program))
    kinds = set(re.findall(r'kind":"([^"]+)"', program))
    return ", ".join(sorted(targets | kinds)) or "XLA's own code"


if __name__ == "__main__":
    app.run(main)
