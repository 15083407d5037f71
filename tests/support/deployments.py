"""Layers and functions as their deployed graphs compute them."""

import numpy as np
import tensorflow as tf

from int4_conformer.quant.deploy import deploying


def traced(function, target, *specs):
    """A graph for inputs of these specs, and its deployment, which keeps its weights alive."""
    with deploying(target) as deployment:
        return tf.function(function, autograph=False).get_concrete_function(*specs), deployment


def matrices(graph):
    """Type and shape of each matrix that a graph reads or holds; no rows and columns."""
    operations = graph.graph.get_operations()
    arrays = [(variable.dtype, variable.shape) for variable in graph.graph.variables]
    arrays += [(x.outputs[0].dtype, x.outputs[0].shape) for x in operations if x.type == "Const"]
    # Codes that were unpacked, however often they are read.
    unpacked = {
        x.inputs[0].op.inputs[0].name: (x.outputs[0].dtype, x.outputs[0].shape)
        for x in operations
        if x.type == "EnsureShape" and x.inputs[0].op.type == "ReadVariableOp"
    }
    arrays += unpacked.values()
    return [
        (dtype.name, tuple(shape)) for dtype, shape in arrays if shape.rank == 2 and min(shape) > 1
    ]


def assert_same_integers(outputs, expected):
    """Outputs of one layer differ by no code: Grappler may only multiply the scales first."""
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
