"""Tracing a model for a target: its graph as a SavedModel, and the integers in it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.keras_internals import own_variables
from int4_conformer.layers.paths import layers_by_path, relative_path
from int4_conformer.quant.deploy import DeployedMatrix, Deployment, Target, deploying
from int4_conformer.quant.products.static import static_parameters
from int4_conformer.tflite.deployed_weight import DeployedWeight, StaticRange


def save_graph(
    functions: Mapping[str, Any],
    model: keras.layers.Layer,
    folder: str | os.PathLike,
    target: Target,
) -> Deployment:
    """Writes a SavedModel whose signatures are functions, traced for a target.

    Args:
        functions: `tf.function`s with input signatures, by name.
        model: whose layers they call; they compute in float32 here.
        folder: made here.

    Returns:
        the weights that the graphs hold.
    """
    # A module that holds just what the graph uses: saving a Keras model would drag its float
    # weights along.
    module = tf.Module()
    with in_float32(model), deploying(target) as deployment:
        signatures = {
            name: function.get_concrete_function() for name, function in functions.items()
        }
    module.resources = deployment.resources
    # Not all that were looked at while it was traced, such as the masters of deployed weights.
    captured = {id(x) for traced in signatures.values() for x in traced.captured_inputs}
    variables = [variable for traced in signatures.values() for variable in traced.variables]
    variables = [variable for variable in variables if id(variable.handle) in captured]
    variables += [codes.packed for codes in deployment.resources]
    module.variables_in_use = list({id(variable): variable for variable in variables}.values())
    deployment.variables = module.variables_in_use
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return deployment


@contextlib.contextmanager
def in_float32(model: keras.layers.Layer) -> Iterator[None]:
    """Within this context, the layers of a model have the dtype policy float32, since TFLite has
    few kernels for 16-bit floats.

    Raises:
        UserError: a layer's weights are 16-bit floats, too.
    """
    layers = [model, *dict(layers_by_path(model)).values()]
    layers = [layer for layer in layers if layer.compute_dtype != "float32"]
    policies = [layer.dtype_policy for layer in layers]
    for layer, policy in zip(layers, policies, strict=True):
        if any(variable.dtype in ("bfloat16", "float16") for variable in own_variables(layer)):
            raise UserError(
                f"{layer.path} has the dtype policy {policy.name!r}, whose weights have 16 bits; "
                f"take 'mixed_{policy.name}', whose weights are float32."
            )
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def deployed_weights(deployment: Deployment, model: keras.layers.Layer) -> list[DeployedWeight]:
    """Codes and scales of every weight that was traced, output channels first, named by path below
    the model."""
    return [_deployed(matrix, model) for matrix in deployment.matrices.values()]


def _deployed(matrix: DeployedMatrix, model: keras.layers.Layer) -> DeployedWeight:
    codes, scale = matrix.tensor.codes.numpy(), matrix.tensor.scale.numpy()
    if matrix.axis == 0:
        codes, scale = np.ascontiguousarray(codes.T), np.ascontiguousarray(scale.T)
    if matrix.config.block is None:
        scale = np.broadcast_to(scale[:, 0], codes.shape[:1])
    return DeployedWeight(
        name=relative_path(matrix.name, model),
        codes=codes,
        scale=scale,
        bits=matrix.tensor.bits,
        block=matrix.config.block,
        activation=matrix.config.activation,
        static=None if matrix.ranges is None else _static_range(*matrix.ranges),
        bias=None if matrix.ranges is None or matrix.bias is None else matrix.bias.numpy(),
    )


def _static_range(input_range: tf.Tensor, output_range: tf.Tensor) -> StaticRange:
    (input_scale, input_zero_point), (output_scale, output_zero_point) = (
        (scale.numpy().item(), int(zero_point.numpy().item()))
        for scale, zero_point in map(static_parameters, (input_range, output_range))
    )
    return StaticRange(
        input_scale=input_scale,
        input_zero_point=input_zero_point,
        output_scale=output_scale,
        output_zero_point=output_zero_point,
    )
