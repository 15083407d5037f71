"""The integers of a trained model."""

import keras

from int4_conformer.layers.dense import QuantDense
from int4_conformer.layers.embedding import QuantEmbedding
from int4_conformer.lite.weights import DeployedWeight
from int4_conformer.models.variables import relative_path


def quantized_layers(model: keras.layers.Layer) -> list[QuantDense | QuantEmbedding]:
    """The layers of a model, itself included, that have a quantized weight."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, QuantDense | QuantEmbedding) and layer.quant.weight_bits is not None
    ]


def deployed_weights(model: keras.layers.Layer) -> list[DeployedWeight]:
    """Codes and scales of every quantized weight, named by path below the model."""
    return [_deployed(layer, model) for layer in quantized_layers(model)]


def _deployed(layer: QuantDense | QuantEmbedding, model: keras.layers.Layer) -> DeployedWeight:
    if isinstance(layer, QuantDense):
        variable, tensor = layer.kernel, layer.quantized_kernel()
        codes, scale = tensor.codes.numpy().T, tensor.scale.numpy()[0]
    else:
        variable, tensor = layer.embeddings, layer.quantized_table()
        codes, scale = tensor.codes.numpy(), tensor.scale.numpy()[:, 0]
    return DeployedWeight(
        name=relative_path(variable.path, model),
        codes=codes,
        scale=scale,
        bits=tensor.bits,
        activation=layer.quant.activation,
    )
