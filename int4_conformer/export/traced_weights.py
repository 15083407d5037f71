"""The integers of a deployed model as a file holds them."""

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.layers.paths import relative_path
from int4_conformer.quant.deploy import DeployedMatrix, Deployment
from int4_conformer.quant.products.static import static_parameters
from int4_conformer.tflite.deployed_weight import DeployedWeight, StaticRange


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
