"""`.tflite` files of one layer, whatever it is."""

import tempfile
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.export import export_keras_tflite
from int4_conformer.tflite import flatbuffer


def packed(layer: keras.layers.Layer, x: np.ndarray) -> bytes:
    """The content of a file that computes the layer for inputs of the shape of `x`."""
    given = keras.Input(batch_shape=x.shape, dtype=x.dtype)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "layer.tflite"
        export_keras_tflite(keras.Model(given, layer(given)), output, batch_size=len(x))
        return output.read_bytes()


def operators(content: bytes) -> set[str]:
    """Names of the operators in a file."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    return {names[flatbuffer.builtin(code)] for code in flatbuffer.load(content).operatorCodes}


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    """What LiteRT makes of `x`."""
    interpreter = litert.Interpreter(model_content=content)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])
