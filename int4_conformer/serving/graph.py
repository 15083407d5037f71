"""A traced graph as a SavedModel."""

import os
from typing import Any

import tensorflow as tf

from int4_conformer.quant.deploy import Deployment, Target, deploying


def save_graph(function: Any, folder: str | os.PathLike, target: Target) -> Deployment:
    """Writes a SavedModel whose signature `serving_default` is a function, traced for a target.

    Args:
        function: a `tf.function` with an input signature.
        folder: made here.

    Returns:
        the weights that the graph holds.
    """
    # A module that holds just what the graph uses: saving a Keras model would drag its float
    # weights along.
    module = tf.Module()
    with deploying(target) as deployment:
        signature = function.get_concrete_function()
    module.variables_in_use = list(signature.variables)
    tf.saved_model.save(module, str(folder), signatures=signature)
    return deployment
