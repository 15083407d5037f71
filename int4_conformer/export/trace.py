"""A traced graph as a SavedModel."""

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from int4_conformer.quant.deploy import Deployment, Target, deploying


def save_graph(
    functions: Mapping[str, Any], folder: str | os.PathLike, target: Target
) -> Deployment:
    """Writes a SavedModel whose signatures are functions, traced for a target.

    Args:
        functions: `tf.function`s with input signatures, by name.
        folder: made here.

    Returns:
        the weights that the graphs hold.
    """
    # A module that holds just what the graph uses: saving a Keras model would drag its float
    # weights along.
    module = tf.Module()
    with deploying(target) as deployment:
        signatures = {
            name: function.get_concrete_function() for name, function in functions.items()
        }
    variables = [variable for traced in signatures.values() for variable in traced.variables]
    module.variables_in_use = list({id(variable): variable for variable in variables}.values())
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return deployment
