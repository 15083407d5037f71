"""From a graph to a `.tflite` file with the trained integers: the way of every export."""

import dataclasses
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.export.trace import deployed_weights, save_graph
from int4_conformer.export.trial import require_runs
from int4_conformer.files import require_place, write_beside
from int4_conformer.layers.paths import relative_path
from int4_conformer.quant.deploy import Deployment
from int4_conformer.tflite import flatbuffer, metadata
from int4_conformer.tflite.deployed_weight import DeployedWeight
from int4_conformer.tflite.held_weights import other_places
from int4_conformer.tflite.metadata import Metadata
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.signature_alias import alias_signature
from int4_conformer.tflite.tensor_names import name_constants
from int4_conformer.tflite.verification import verify


def write_tflite(
    functions: Mapping[str, Any],
    model: keras.layers.Layer,
    output: str | os.PathLike,
    describe: Callable[[str], Metadata] | None = None,
    aliases: Mapping[str, str] | None = None,
    check: Callable[[bytes], None] = lambda content: None,
    **trial: Any,
) -> None:
    """Traces, converts, packs, verifies, tries and writes.

    Args:
        functions: `tf.function`s with input signatures, by the name of the file's signature.
        model: whose weights it uses.
        output: path of the file; replaced whole or not at all.
        describe: gives the metadata to seal the file with, from whose kernels compute it.
        aliases: functions by a second name that the file has for them.
        check: looks at the file before it is written, and may raise.
        trial: `lengths` and `takes` of `require_runs`.

    Raises:
        UserError: the graph cannot be converted, its layers mix symmetric and asymmetric int8
            activations, which no one runtime computes, the file does not hold the model's
            integers, LiteRT cannot run it, or it cannot be written.
    """
    require_place(output)
    with tempfile.TemporaryDirectory() as folder:
        deployment = save_graph(functions, model, folder, "float_twin")
        parsed = flatbuffer.load(_converted(folder, list(functions)))
    inputs = {
        name: tf.nest.flatten(function.input_signature) for name, function in functions.items()
    }
    for alias, signature in (aliases or {}).items():
        alias_signature(parsed, signature, alias)
        inputs[alias] = inputs[signature]
    weights = deployed_weights(deployment, model)
    delegate = _delegate(weights)
    floats = _float_weights(model, deployment)
    named = _staying_float(floats, weights)
    name_constants(parsed, named)
    if describe is not None:
        places = other_places(parsed, floats)
        metadata.attach(parsed, dataclasses.replace(describe(delegate), weights=places))
    content = pack(parsed, weights, named)
    if describe is not None:
        content = metadata.seal(content)
    verify(content, weights)
    require_runs(content, model, inputs, delegate, **trial)
    check(content)
    write_beside(output, content)


def _float_weights(model: keras.layers.Layer, deployment: Deployment) -> dict[str, np.ndarray]:
    """Weights of a model that its file holds in float, by path below it."""
    deployed = {matrix.name for matrix in deployment.matrices.values()}
    read = {id(variable.handle) for variable in deployment.variables}
    return {
        relative_path(variable.path, model): variable.numpy().astype(np.float32)
        for variable in model.weights
        if id(variable.value.handle) in read and variable.path not in deployed
    }


def _staying_float(
    floats: Mapping[str, np.ndarray], weights: Sequence[DeployedWeight]
) -> dict[str, np.ndarray]:
    """The float weights but for biases of static matmuls, of which the packer makes int32."""
    biases = [
        weight.bias.tobytes()
        for weight in weights
        if weight.static is not None and weight.bias is not None
    ]
    return {path: value for path, value in floats.items() if value.tobytes() not in biases}


def _converted(folder: str, signatures: list[str]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=signatures)
    try:
        return converter.convert()
    except Exception as error:
        operations = dict.fromkeys(re.findall(r"'tf\.(\w+)' op", str(error)))
        if not operations:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"TensorFlow's converter refuses this model ({reason}); replace the layer that it "
                "names or, where sizes are left open, give the batch size."
            ) from error
        raise UserError(
            f"TFLite has no builtin operators for {', '.join(operations)} in this model; replace "
            "these operations or, where sizes are left open, give the batch size."
        ) from error


def _delegate(weights: Sequence[DeployedWeight]) -> str:
    """Whose kernels compute the scheme: XNNPACK's are asymmetric, the builtin ones symmetric."""
    schemes = {weight.activation for weight in weights if weight.integer_kernel}
    if "int8_symmetric" in schemes and len(schemes) > 1:
        raise UserError(
            "The recipe has both symmetric and asymmetric int8 activations; a TFLite runtime "
            "computes one of them, so choose one for all layers."
        )
    return "none" if schemes == {"int8_symmetric"} else "xnnpack"
