"""What Keras has no public name for, and that we rely on all the same, in one place.

`tests/layers/test_keras_internals.py` notices when a release of Keras changes any of it. Besides:
`QuantMultiHeadAttention` and `QuantLSTM` override hooks of their Keras classes that are private
(`_compute_attention`; `inner_loop`), and `UserError` carries the mark by which Keras leaves the
text of an error as it is.
"""

import keras


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer or model holds, not those that they hold.

    Models have `layers`, layers nothing public.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables that a layer made itself, in the order in which Keras stores them."""
    return layer._trainable_variables + layer._non_trainable_variables


def leave_reducing(optimizer: keras.optimizers.Optimizer) -> None:
    """Has an optimizer take gradients as they are.

    Under a distribution strategy Keras adds up those of the replicas, a second time where the
    gradients were clipped, for which they had to be added up before.
    """
    optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
