"""Layers by the paths that recipes name."""

from collections.abc import Iterator

import keras

from int4_conformer.layers.quantized import Quantized


def layers_by_path(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """All layers below a layer or model, each with its path: the names on the way, joined by "/".

    A layer that is met twice comes once, by its first path; a layer comes before those within it.
    """
    seen = {id(root)}

    def below(parent: keras.layers.Layer, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        for layer in parent._flatten_layers(include_self=False, recursive=False):
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
