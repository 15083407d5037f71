"""The variables of a model by name, and their copies."""

import keras

from int4_conformer.layers.paths import layers_by_path
from int4_conformer.layers.quantized import Quantized


def relative_path(path: str, model: keras.layers.Layer) -> str:
    """A path below the model: "tiny/encoder/input/kernel" -> "encoder/input/kernel"."""
    return path.removeprefix(f"{model.path}/")


def by_path(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """All weights of a model, trainable or not, by their path below it."""
    return {relative_path(variable.path, model): variable for variable in model.weights}


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copies the weights of a layer or model to one like it, which may be quantized otherwise.

    What quantization adds to the weights, as learned clips, is copied where the layers have the
    same config, and stays as it is elsewhere.

    Args:
        source: has each weight of the target.
        target: built.
    """
    configs = {path: layer.quant for path, layer in _quantized(source).items()}
    added = {
        id(variable)
        for path, layer in _quantized(target).items()
        if configs.get(path) != layer.quant
        for variable in layer.quant_variables
    }
    values = by_path(source)
    for path, variable in by_path(target).items():
        if id(variable) not in added:
            variable.assign(values[path])


def _quantized(root: keras.layers.Layer) -> dict[str, Quantized]:
    layers = {"": root} | dict(layers_by_path(root))
    return {path: layer for path, layer in layers.items() if isinstance(layer, Quantized)}
