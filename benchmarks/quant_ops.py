"""Costs of quantizing and of integer matmuls, in one run.

    python benchmarks/quant_ops.py

compares `quantize` with `tf.quantization.fake_quant_with_min_max_vars_per_channel`, ranges
included, for a kernel whose channels are its last axis and for one whose channels are not (there
that op needs two transposes); and the backends of `int_matmul` with a float32 matmul.
`--write_table=int4_conformer/quant/products/backends.json` makes the measured times what `auto`
chooses by on this kind of device. Each as a graph, as a program compiled by XLA, or both.
"""

import functools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from timing import milliseconds

from int4_conformer.files import write_beside
from int4_conformer.quant import int_matmul, quantize
from int4_conformer.quant.products.backends import device_kind
from int4_conformer.quant.products.matmul import onednn_available

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 20, "Timed rounds.")
flags.DEFINE_string("write_table", None, "JSON file whose table for this device to replace.")

# Shape of a weight, and the axes that share a scale.
_WEIGHTS = (([512, 2048], (0,)), ([2048, 512], (1,)), ([512, 8, 64], (0,)), ([8, 512, 64], (1,)))
# Rows of the matmuls that choose a backend, and [width, columns] of their weights.
_ROWS = (1, 16, 100, 400, 1600, 6400)
_SIZES = ((144, 576), (512, 512), (512, 2048), (2048, 512))
_LIMIT = 7
_BACKENDS = ("native", "xla", "exact_float", "onednn")


def main(_: list[str]) -> None:
    _quantize_table()
    rows = _matmul_table()
    if FLAGS.write_table:
        path = Path(FLAGS.write_table)
        table = json.loads(path.read_text()) if path.exists() else {}
        table[device_kind()] = rows
        write_beside(path, (json.dumps(table, indent=1) + "\n").encode())


def _quantize_table() -> None:
    print("| weight, axes of a scale | quantize | fake quant | XLA: quantize | XLA: fake quant |")
    print("|---|---|---|---|---|")
    for shape, axes in _WEIGHTS:
        weight = tf.Variable(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
        functions = {}
        for compiled in (False, True):
            for name, quantizer in (("ours", _on_grid), ("fake", _fake_quantized)):
                run = tf.function(functools.partial(quantizer, axes=axes), jit_compile=compiled)
                functions[name, compiled] = functools.partial(run, weight)
        times = milliseconds(functions, FLAGS.rounds)
        cells = " | ".join(
            f"{times[name, compiled]:.2f} ms"
            for compiled in (False, True)
            for name in ("ours", "fake")
        )
        print(f"| {shape}, {axes} | {cells} |")


def _on_grid(weight: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    tensor = quantize(weight, 4, axes)
    return tensor.codes, tensor.scale


def _fake_quantized(weight: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    """The op's channels are the last axis, and it takes one axis of them."""
    rank = weight.shape.rank
    channels = [axis for axis in range(rank) if axis not in axes]
    order = [*axes, *channels]
    matrix = weight if order == list(range(rank)) else tf.transpose(weight, order)
    matrix = tf.reshape(matrix, [-1, np.prod([weight.shape[axis] for axis in channels])])
    largest = tf.reduce_max(tf.abs(matrix), axis=0)
    fake = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        matrix, -largest, largest, num_bits=4, narrow_range=True
    )
    fake = tf.reshape(fake, [weight.shape[axis] for axis in order])
    return fake if order == list(range(rank)) else tf.transpose(fake, np.argsort(order))


def _matmul_table() -> list[dict]:
    rng = np.random.default_rng(0)
    measured = []
    print("\n| rows x width x columns | float32 | native | xla | exact_float | onednn |")
    print("|---|---|---|---|---|---|")
    for width, columns in _SIZES:
        for rows in _ROWS:
            a = tf.constant(rng.integers(-128, 128, [rows, width]), tf.int8)
            b = tf.constant(rng.integers(-_LIMIT, _LIMIT + 1, [width, columns]), tf.int8)
            float_operands = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
            functions = {"float32": functools.partial(tf.function(tf.matmul), *float_operands)}
            for backend in _BACKENDS:
                if backend == "onednn" and not onednn_available():
                    continue
                product = functools.partial(int_matmul, b_limit=_LIMIT, backend=backend)
                functions[backend] = functools.partial(tf.function(product), a, b)
            times = milliseconds(functions, FLAGS.rounds)
            cells = " | ".join(
                f"{times[name]:.3f}" if name in times else "" for name in ("float32", *_BACKENDS)
            )
            print(f"| {rows} x {width} x {columns} | {cells} |", flush=True)
            times.pop("float32")
            measured.append(
                {
                    "rows": rows,
                    "width": width,
                    "columns": columns,
                    "ms": {name: round(value, 4) for name, value in times.items()},
                }
            )
    return measured


if __name__ == "__main__":
    app.run(main)
