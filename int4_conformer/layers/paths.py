"""Layers by the paths that recipes name."""

from collections.abc import Iterator

import keras


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
