"""Quantizing models: the one way to give any of them another recipe."""

import dataclasses
import math
import warnings
from collections.abc import Iterator

import keras

from int4_conformer import layers
from int4_conformer.errors import UserError
from int4_conformer.layers.keras_internals import own_variables, sublayers
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
    keras.layers.GroupQueryAttention: layers.QuantGroupQueryAttention,
    keras.layers.LSTM: layers.QuantLSTM,
    keras.layers.MultiHeadAttention: layers.QuantMultiHeadAttention,
}

# Layers around others, which are swapped within, and the fields of their configs that hold those.
_WRAPPERS = {
    keras.layers.Bidirectional: ("layer", "backward_layer"),
    keras.layers.TimeDistributed: ("layer",),
}

_FLOAT = QuantConfig()
# Layers that a warning names.
_NAMED = 8


def quantize_model(model: keras.Model, recipe: Recipe | str) -> keras.Model:
    """A copy of a model, with the same weights, whose layers are quantized by a recipe.

    Each layer that has a quantized counterpart (`COUNTERPARTS`) gives way to it, unless the recipe
    has "float" for it; one that is quantized already gets the recipe's config. The recipe is asked
    by the layers' names, below those of the models they are in: `encoder/dense_1`, and of an
    attention layer for each projection: `attention/query`. Of `TimeDistributed` and `Bidirectional`
    layers, those within are swapped: `bidirectional/forward_lstm`.

    Layers without a counterpart, as a GRU or a subclass of Dense, and the layers that those hold,
    stay as they are and need no rule. If the rule ".*" would quantize one, a warning names it; a
    rule that means it in particular is an error.

    A `Transducer` gives way to one with another recipe. With `float` it computes what the weights
    say without any quantization; with another it is what post-training quantization makes of them.

    Args:
        model: Sequential or functional, also of such models, or a `Transducer`; it is not changed.
            If it is built, the weights are copied; if it is compiled, the copy of a Keras model is.
        recipe: a recipe, or the name of a preset or a scheme.

    Raises:
        UserError: the model is subclassed, a rule decides for no layer, no rule decides for one, or
            a layer cannot be quantized as its rule says, or not be copied.
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
        for part, counterpart in _without_wrappers(layer, clone):
            copy_weights(part, counterpart)
    if swap.left:
        warnings.warn(_warning(swap.left), stacklevel=2)
    return copy


def _warning(left: list[str]) -> str:
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return (
        f"Layers without a quantized counterpart stay as they are: {', '.join(left[:_NAMED])}"
        f'{more} (`quantize.summary` lists all); give them a rule with "float" if that is meant, '
        "or take layers of int4_conformer.layers in their place."
    )


class _Swap:
    """The work of one `quantize_model`."""

    def __init__(self) -> None:
        # Each layer that is no model, and its clone.
        self.pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        # The clone of each layer by its id, since one may be in several places.
        self._clones: dict[int, keras.layers.Layer] = {}
        # Paths for which the recipe was asked.
        self.asked: list[str] = []
        # Layers that stay as they are, although the rule ".*" would have them quantized otherwise.
        self.left: list[str] = []

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
        if type(layer) in _WRAPPERS:
            return self._wrapped(layer, recipe)
        if not _is_quantizable(layer):
            self._leave(layer, recipe)
            return _copied(layer)
        parts = [recipe.at(name) for name, _ in _quantizable_layers(layer)] or [recipe]
        self.asked += [part.path for part in parts]
        counterpart = COUNTERPARTS.get(type(layer), type(layer))
        if type(layer) in COUNTERPARTS and all(part.config() == _FLOAT for part in parts):
            return _copied(layer)
        return counterpart(**(layer.get_config() | {"quant": recipe}))

    def _wrapped(self, layer: keras.layers.Layer, recipe: Recipe) -> keras.layers.Layer:
        """A copy of a wrapper, around what takes the place of the layers within."""
        config = layer.get_config()
        within = {part.name: part for part in sublayers(layer)}
        for field in _WRAPPERS[type(layer)]:
            part = within[config[field]["config"]["name"]]
            swap = self.model if _is_cloneable(part) else self._swapped
            config[field] = swap(part, recipe.at(part.name))
        return type(layer)(**config)

    def _leave(self, layer: keras.layers.Layer, recipe: Recipe) -> None:
        """Notes a layer that has no counterpart, which no rule but ".*" may want to quantize."""
        parts = list(_quantizable_layers(layer))
        for name, part in parts:
            at = recipe.at(name)
            self.asked.append(at.path)
            if at.config() == (part.quant if isinstance(part, Quantized) else _FLOAT):
                continue
            if at.pattern() != ".*":
                raise UserError(
                    f"The recipe gives {at.path!r} the scheme {at.config().name!r}, but it is "
                    f"a part of a {type(layer).__name__}, whose layers cannot be swapped; build "
                    "that with the layers of int4_conformer.layers, or give it the scheme it has."
                )
            self.left.append(f"{at.path} ({type(part).__name__} of a {type(layer).__name__})")
        pattern = recipe.pattern()
        if parts or pattern is None or not _has_matrix(layer.weights):
            return
        self.asked.append(recipe.path)
        if recipe.config() == _FLOAT:
            return
        if pattern != ".*":
            raise UserError(
                f"The recipe's rule {pattern!r} quantizes {recipe.path!r}, a "
                f"{type(layer).__name__}, which has no quantized counterpart; put a rule before it "
                'that gives this layer "float".'
            )
        self.left.append(f"{recipe.path} ({type(layer).__name__})")


def _without_wrappers(
    layer: keras.layers.Layer, clone: keras.layers.Layer
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """A layer and its clone, or the pairs of layers within."""
    if type(layer) in _WRAPPERS or _is_cloneable(layer):
        for parts in zip(sublayers(layer), sublayers(clone), strict=True):
            yield from _without_wrappers(*parts)
    else:
        yield layer, clone


def _copied(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer of the same config; a `Lambda`, which holds nothing, itself.

    Raises:
        UserError: its class cannot be made of its config.
    """
    if type(layer) is keras.layers.Lambda:
        # Keras does not make a function of a config.
        return layer
    try:
        return type(layer).from_config(layer.get_config())
    except Exception as error:
        # Keras names the cause last.
        reason = str(error).strip().rpartition("\n")[2]
        raise UserError(
            f"{layer.name!r}, a {type(layer).__name__}, cannot be copied ({reason}); have its "
            "`get_config` return what its `__init__` takes."
        ) from error


def summary(model: keras.layers.Layer) -> str:
    """A table of a model's quantized layers, and of those that multiply in float.

    For each: path, class, scheme, number of weights, and their bytes in a `.tflite` file and in
    float32; then the same of all other weights, and of the model. Below it, weights whose inputs do
    not fill whole bytes, an odd number in 4 bits for example: a file holds zeros after them, since
    LiteRT multiplies rows of whole bytes alone.

    Args:
        model: built, of any kind.

    Raises:
        UserError: it is not built.
    """
    if not model.built:
        raise UserError(f"{model.name!r} is not built; call it once, or give it Input layers.")
    rows, padded, counted, stored = [], [], 0, 0
    for path, layer in _multiplying_layers(model):
        is_quantized = isinstance(layer, Quantized)
        weights = layer.weight_count if is_quantized else _float_count(layer)
        nbytes = layer.stored_bytes() if is_quantized else 4 * weights
        if is_quantized:
            padded += [
                f"{path}/{name} ({inputs} to {whole})"
                for name, (inputs, whole) in layer.padded_inputs().items()
            ]
        scheme = layer.quant.name if is_quantized else _FLOAT.name
        rows.append((path, type(layer).__name__, scheme, weights, nbytes))
        counted, stored = counted + weights, stored + nbytes
    others = model.count_params() - _added_count(model) - counted
    rows += [
        ("other weights", "", "", others, 4 * others),
        ("total", "", "", counted + others, stored + 4 * others),
    ]
    table = columns(
        ("path", "layer", "scheme", "weights", "bytes", "float32"),
        [(*row[:3], *(f"{figure:,}" for figure in (*row[3:], 4 * row[3]))) for row in rows],
        "<<<>>>",
    )
    return f"{table}\n\ninputs padded with zeros: {', '.join(padded)}" if padded else table


def _float_count(layer: keras.layers.Layer) -> int:
    """Number of a layer's weights, without those of layers within that have rows of their own."""
    variables = layer.weights if _is_quantizable(layer) else own_variables(layer)
    return sum(math.prod(variable.shape) for variable in variables)


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
    if type(layer) in COUNTERPARTS:
        # Those of convolutions have no groups, and channels last.
        channels = getattr(layer, "data_format", "channels_last")
        return getattr(layer, "groups", 1) == 1 and channels == "channels_last"
    return type(layer) in COUNTERPARTS.values()


def _quantizable_layers(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers below the root that recipes have rules for, by path: of an attention layer, its
    projections."""
    for path, layer in layers_by_path(root):
        if _is_quantizable(layer) and not any(_quantizable_layers(layer)):
            yield path, layer


def _multiplying_layers(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Those of `_quantizable_layers`, and those that hold matrices and have no counterpart."""
    quantizable = dict(_quantizable_layers(root))
    for path, layer in layers_by_path(root):
        within = path.startswith(tuple(f"{whole}/" for whole in quantizable))
        if path in quantizable or (not within and _has_matrix(own_variables(layer))):
            yield path, layer


def _has_matrix(variables: list[keras.Variable]) -> bool:
    """Whether one of them has more than one dimension, as weights that are multiplied by have."""
    return any(len(variable.shape) > 1 for variable in variables)
