"""Layers and variables by the paths that recipes and checkpoints name, and copies of them."""

from collections.abc import Iterator

import keras

from int4_conformer.layers.keras_internals import sublayers
from int4_conformer.layers.quantized import Quantized


def layers_by_path(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """All layers below a layer or model, each with its path: the names on the way, joined by "/".

    A layer that is met twice comes once, by its first path; a layer comes before those within it.
    """
    seen = {id(root)}

    def below(parent: keras.layers.Layer, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        for layer in sublayers(parent):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield prefix + layer.name, layer
                yield from below(layer, f"{prefix}{layer.name}/")

    return below(root, "")


def quantized_layers(root: keras.layers.Layer) -> dict[str, Quantized]:
    """The layers below a layer or model for which recipes have rules, by path.

    A quantized layer that is a part of another, as the cell of an LSTM, has no rule of its own.
    """
    found: dict[str, Quantized] = {}
    for path, layer in layers_by_path(root):
        if isinstance(layer, Quantized) and not path.startswith(tuple(f"{p}/" for p in found)):
            found[path] = layer
    return found


def relative_path(path: str, model: keras.layers.Layer) -> str:
    """A path below the model: "tiny/encoder/input/kernel" -> "encoder/input/kernel"."""
    return path.removeprefix(f"{model.path}/")


def by_path(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """All weights of a model, trainable or not, by their path below it."""
    return {relative_path(variable.path, model): variable for variable in model.weights}


def quantization_variables(root: keras.layers.Layer) -> set[int]:
    """Ids of the variables below a layer or model that quantization adds, as learned clips."""
    return {
        id(variable) for layer in _quantized(root).values() for variable in layer.quant_variables
    }


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
