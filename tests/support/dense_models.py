"""`.tflite` files of one quantized dense layer."""

import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.quant.deploy import deploying
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack


def layer(recipe, width, units, seed=0):
    """A layer with weights of many sizes and no bias, so that its sums can be told from outside."""
    dense = QuantDense(units, quant=recipe, use_bias=False, name="dense")
    dense.build((None, width))
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal([width, units]) * np.exp(rng.uniform(-3, 3, units))
    dense.kernel.assign(kernel.astype(np.float32))
    return dense


def traced(dense):
    """The parsed file of the layer's float twin, and the integers for it."""
    signature = [tf.TensorSpec([None, dense.kernel.shape[0]])]
    with deploying("float_twin") as deployment:
        model = convert(tf.function(dense, input_signature=signature, autograph=False))
    return model, deployed_weights(deployment, dense)


def float_product(weight, bias=None, function=tf.identity):
    """The parsed file of `function(x @ weight + bias)` in float32."""
    kernel = weight.dequantized().T

    @tf.function(input_signature=[tf.TensorSpec([None, kernel.shape[0]])], autograph=False)
    def product(x):
        y = tf.matmul(x, kernel)
        return function(y if bias is None else y + bias)

    return convert(product)


def convert(function):
    """The parsed file of a `tf.function` with an input signature."""
    concrete = function.get_concrete_function()
    return flatbuffer.load(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


def packed(dense):
    """The file's content with the layer's integers."""
    return pack(*traced(dense))


def run(content, x, delegate="xnnpack"):
    """The outputs for `x` of [rows, width], with the kernels of XNNPACK or the builtin ones."""
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=(
            litert.OpResolverType.BUILTIN
            if delegate == "xnnpack"
            else litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(result["index"])
