"""Which schemes LiteRT computes in the integers of training, with XNNPACK and without.

    python benchmarks/litert_schemes.py

exports a dense layer per scheme and compares the file's outputs with the layer's. Prints a row per
scheme for docs/quantization.md: for each set of kernels the largest difference over the largest
output of a row, and the part of the outputs that are off by more than 1e-5 of it. With other
integers that is most of them.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from int4_conformer.errors import UserError
from int4_conformer.export import export_keras_tflite
from int4_conformer.layers import QuantDense

FLAGS = flags.FLAGS
flags.DEFINE_integer("width", 512, "Inputs of the layer; a multiple of 128.")
flags.DEFINE_integer("units", 512, "Outputs of the layer.")
flags.DEFINE_integer("rows", 256, "Rows to compare.")

_SCHEMES = (
    *(f"w{bits}c_a8d" for bits in range(2, 9)),
    *("w4b32_a8d", "w4b64_a8d", "w4b128_a8d", "w4t_a8d"),
    *(
        "w2c_a8dsym",
        "w4c_a8dsym",
        "w8c_a8dsym",
        "w2c_a8static",
        "w4c_a8static",
        "w8c_a8static",
        "w4c_a4dsym",
        "w2c",
        "w4c",
        "w8c",
        "w4b32",
        "w8b32_a8d",
    ),
)
_KERNELS = (OpResolverType.BUILTIN, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
_TOLERANCE = 1e-5


def main(_: list[str]) -> None:
    print("| scheme | XNNPACK | off | builtin kernels | off |")
    print("|---|---|---|---|---|")
    for scheme in _SCHEMES:
        try:
            results = _compare(scheme)
        except UserError as error:
            print(f"| {scheme} | refused: {error} | | | |")
            continue
        cells = " | ".join(f"{np.max(r):.1e} | {np.mean(r > _TOLERANCE):.2%}" for r in results)
        print(f"| {scheme} | {cells} |", flush=True)


def _compare(scheme: str) -> list[np.ndarray]:
    """For each set of kernels, each output's difference over the largest output of its row."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([FLAGS.width]), QuantDense(FLAGS.units, quant=scheme)])
    rng = np.random.default_rng(0)
    x = rng.standard_normal([FLAGS.rows, FLAGS.width]).astype(np.float32)
    if not scheme.endswith("a8static"):
        # Scales per row follow it.
        x *= np.exp(rng.uniform(-3, 3, [FLAGS.rows, 1])).astype(np.float32)
    for _ in range(3):
        # Where ranges are static, this sets them.
        model(x, training=True)
    expected = model(x).numpy()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "layer.tflite"
        export_keras_tflite(model, file)
        outputs = []
        for kernels in _KERNELS:
            interpreter = Interpreter(str(file), experimental_op_resolver_type=kernels)
            (output,) = interpreter.get_signature_runner()(inputs=x).values()
            outputs.append(output)
    largest = np.abs(expected).max(axis=1, keepdims=True)
    return [np.abs(output - expected) / largest for output in outputs]


if __name__ == "__main__":
    app.run(main)
