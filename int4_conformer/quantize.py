"""Quantizing models: the one way to give any of them another recipe."""

import dataclasses
import math
from collections.abc import Iterator

import keras

from int4_conformer import layers
from int4_conformer.errors import UserError
from int4_conformer.layers.paths import copy_weights, layers_by_path
from int4_conformer.layers.quantized import Quantized
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.tables import columns

# Which layer takes the place of which.
COUNTERPARTS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    keras.layers.Conv1D: layers.QuantConv1D,
    keras.layers.Conv2D: layers.QuantConv2D,
    keras.layers.Dense: layers.QuantDense,
    keras.layers.DepthwiseConv1D: layers.QuantDepthwiseConv1D,
    keras.layers.EinsumDense: layers.QuantEinsumDense,
    keras.layers.Embedding: layers.QuantEmbedding,
    keras.layers.LSTM: layers.QuantLSTM,
    keras.layers.MultiHeadAttention: layers.QuantMultiHeadAttention,
}

_FLOAT = QuantConfig()


def quantize_model(model: keras.Model, recipe: Recipe | str) -> keras.Model:
    """A copy of a model, with the same weights, whose layers are quantized by a recipe.

    Each layer that has a quantized counterpart (`COUNTERPARTS`) gives way to it, unless the recipe
    has "float" for it; one that is quantized already gets the recipe's config. The recipe is asked
    by the layers' names, below those of the models they are in: `encoder/dense_1`, and of an
    attention layer for each projection: `attention/query`.

    Layers without a counterpart stay as they are and need no rule. Those that multiply by weights
    may not be meant by a rule that quantizes, other than ".*".

    A `Transducer` gives way to one with another recipe. With `float` it computes what the weights
    say without any quantization; with another it is what post-training quantization makes of them.

    Args:
        model: Sequential or functional, also of such models, or a `Transducer`; it is not changed.
            If it is built, the weights are copied; if it is compiled, the copy of a Keras model is.
        recipe: a recipe, or the name of a preset or a scheme.

    Raises:
        UserError: the model is subclassed, a rule decides for no layer, no rule decides for one, or
            a layer cannot be quantized as its rule says.
    """
    if isinstance(recipe, str):
        recipe = Recipe.preset(recipe)
    if isinstance(model, Transducer):
        copy = Transducer(dataclasses.replace(model.config, recipe=recipe))
        copy.build()
        copy_weights(model, copy)
        return copy
    if not _is_cloneable(model):
        raise UserError(
            f"{model.name!r} is a subclassed model ({type(model).__name__}), whose layers cannot "
            "be swapped; build it with the layers of int4_conformer.layers."
        )
    swap = _Swap()
    copy = swap.model(model, recipe)
    recipe.require_used(swap.asked)
    for layer, clone in swap.pairs:
        copy_weights(layer, clone)
    return copy


class _Swap:
    """The work of one `quantize_model`."""

    def __init__(self) -> None:
        # Each layer that is no model, and its clone.
        self.pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        # The clone of each layer by its id, since one may be in several places.
        self._clones: dict[int, keras.layers.Layer] = {}
        # Paths for which the recipe was asked.
        self.asked: list[str] = []

    def model(self, model: keras.Model, recipe: Recipe) -> keras.Model:
        return keras.models.clone_model(
            model, clone_function=lambda layer: self._clone(layer, recipe.at(layer.name))
        )

    def _clone(self, layer: keras.layers.Layer, recipe: Recipe) -> keras.layers.Layer:
        if id(layer) not in self._clones:
            if _is_cloneable(layer):
                clone = self.model(layer, recipe)
            elif not isinstance(layer, keras.layers.Layer):
                # An operation such as an addition, which holds nothing.
                clone = type(layer).from_config(layer.get_config())
            else:
                clone = self._swapped(layer, recipe)
                self.pairs.append((layer, clone))
            self._clones[id(layer)] = clone
        return self._clones[id(layer)]

    def _swapped(self, layer: keras.layers.Layer, recipe: Recipe) -> keras.layers.Layer:
        if not _is_quantizable(layer):
            self._require_left_alone(layer, recipe)
            return type(layer).from_config(layer.get_config())
        parts = [recipe.at(name) for name, _ in _quantizable_layers(layer)] or [recipe]
        self.asked += [part.path for part in parts]
        counterpart = COUNTERPARTS.get(type(layer), type(layer))
        if type(layer) in COUNTERPARTS and all(part.config() == _FLOAT for part in parts):
            return type(layer).from_config(layer.get_config())
        return counterpart(**(layer.get_config() | {"quant": recipe}))

    def _require_left_alone(self, layer: keras.layers.Layer, recipe: Recipe) -> None:
        """Checks that a recipe wants nothing of a layer that has no counterpart."""
        parts = list(_quantizable_layers(layer))
        for name, part in parts:
            path = recipe.at(name)
            self.asked.append(path.path)
            if path.config() != (part.quant if isinstance(part, Quantized) else _FLOAT):
                raise UserError(
                    f"The recipe gives {path.path!r} the scheme {path.config().name!r}, but it is "
                    f"a part of a {type(layer).__name__}, whose layers cannot be swapped; build "
                    "that with the layers of int4_conformer.layers, or give it the scheme it has."
                )
        if parts or all(len(weight.shape) < 2 for weight in layer.weights):
            return
        pattern = recipe.pattern()
        if pattern not in (None, ".*") and recipe.config() != _FLOAT:
            raise UserError(
                f"The recipe's rule {pattern!r} quantizes {recipe.path!r}, a "
                f"{type(layer).__name__}, which has no quantized counterpart; put a rule before it "
                'that gives this layer "float".'
            )


def summary(model: keras.layers.Layer) -> str:
    """A table of a model's quantized layers, and of those that could be.

    For each: path, class, scheme, number of weights, and their bytes in a `.tflite` file and in
    float32; then the same of all other weights, and of the model.

    Args:
        model: built, of any kind.

    Raises:
        UserError: it is not built.
    """
    if not model.built:
        raise UserError(f"{model.name!r} is not built; call it once, or give it Input layers.")
    rows, counted, stored = [], 0, 0
    for path, layer in _quantizable_layers(model):
        is_quantized = isinstance(layer, Quantized)
        weights = layer.weight_count if is_quantized else layer.count_params()
        nbytes = layer.stored_bytes() if is_quantized else 4 * weights
        scheme = layer.quant.name if is_quantized else _FLOAT.name
        rows.append((path, type(layer).__name__, scheme, weights, nbytes))
        counted, stored = counted + weights, stored + nbytes
    others = model.count_params() - _added_count(model) - counted
    rows += [
        ("other weights", "", "", others, 4 * others),
        ("total", "", "", counted + others, stored + 4 * others),
    ]
    return columns(
        ("path", "layer", "scheme", "weights", "bytes", "float32"),
        [(*row[:3], *(f"{figure:,}" for figure in (*row[3:], 4 * row[3]))) for row in rows],
        "<<<>>>",
    )


def _added_count(model: keras.layers.Layer) -> int:
    """Number of values that quantization adds to a model's weights."""
    parts = [layer for _, layer in layers_by_path(model) if isinstance(layer, Quantized)]
    return sum(math.prod(variable.shape) for part in parts for variable in part.quant_variables)


def _is_cloneable(layer: keras.layers.Layer) -> bool:
    """Whether Keras knows a model's graph; a subclassed one has no inputs."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "inputs")
    )


def _is_quantizable(layer: keras.layers.Layer) -> bool:
    return type(layer) in COUNTERPARTS or type(layer) in COUNTERPARTS.values()


def _quantizable_layers(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers below the root that recipes have rules for, by path: of an attention layer, its
    projections."""
    for path, layer in layers_by_path(root):
        if _is_quantizable(layer) and not any(_quantizable_layers(layer)):
            yield path, layer
