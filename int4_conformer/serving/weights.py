"""The integers of a deployed model as a file holds them."""

import keras
import numpy as np

from int4_conformer.lite.weights import DeployedWeight
from int4_conformer.models.variables import relative_path
from int4_conformer.quant.deploy import DeployedMatrix, Deployment


def deployed_weights(deployment: Deployment, model: keras.layers.Layer) -> list[DeployedWeight]:
    """Codes and scales of every weight that was traced, output channels first, named by path below
    the model."""
    return [_deployed(matrix, model) for matrix in deployment.matrices.values()]


def _deployed(matrix: DeployedMatrix, model: keras.layers.Layer) -> DeployedWeight:
    codes, scale = matrix.tensor.codes.numpy(), matrix.tensor.scale.numpy()
    if matrix.axis == 0:
        codes, scale = codes.T, scale.T
    if matrix.config.block is None:
        scale = np.broadcast_to(scale[:, 0], codes.shape[:1])
    return DeployedWeight(
        name=relative_path(matrix.name, model),
        codes=codes,
        scale=scale,
        bits=matrix.tensor.bits,
        block=matrix.config.block,
        activation=matrix.config.activation,
    )
