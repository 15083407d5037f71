"""A trained model under another recipe: post-training quantization, or none at all."""

import dataclasses

from int4_conformer.layers.paths import copy_weights
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.recipe import Recipe


def with_recipe(model: Transducer, recipe: Recipe) -> Transducer:
    """A copy of the model with the same float weights, quantized by another recipe.

    With the preset `float` it computes what the weights say without any quantization; with another
    it is what post-training quantization would make of them.

    Raises:
        UserError: the recipe does not fit the model's layers.
    """
    copy = Transducer(dataclasses.replace(model.config, recipe=recipe))
    copy.build()
    copy_weights(model, copy)
    return copy
