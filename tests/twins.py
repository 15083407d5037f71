"""`.tflite` files of one quantized layer, whatever it is."""

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.lite import flatbuffer
from int4_conformer.lite.packing import pack
from int4_conformer.quant.deploy import deploying
from int4_conformer.serving.weights import deployed_weights


def traced(layer: keras.layers.Layer, x: np.ndarray):
    """The layer as a concrete function of one input."""
    return tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))


def packed(layer: keras.layers.Layer, x: np.ndarray) -> bytes:
    """The content of a file that computes the layer for inputs of the shape of `x`."""
    with deploying("float_twin") as deployment:
        concrete = traced(layer, x)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], layer)
    model = flatbuffer.load(converter.convert())
    return pack(model, deployed_weights(deployment, layer))


def operators(content: bytes) -> set[str]:
    """Names of the operators in a file."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    codes = flatbuffer.load(content).operatorCodes
    return {names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in codes}


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    """What LiteRT makes of `x`."""
    interpreter = litert.Interpreter(model_content=content)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])
