"""What a layer holds for its quantization beside its weight."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class StaticRanges:
    """Where the activations of a layer with static scales lie; each a variable
    [2]: lowest, highest.

    The highest is at least the lowest; zero is in every range that is made of them.
    """

    # Of the input, over all of its elements.
    input: tf.Tensor
    # Of the product with its bias, before any activation function.
    output: tf.Tensor
    # Decay of the running averages, per batch; None outside training.
    decay: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantState:
    """Whatever `QuantConfig` asks for beside the weight; None where it asks for nothing."""

    # Learned factor of the weight's scales, of their shape.
    clip: tf.Tensor | None = None
    # Noise in units of the weight's scales, of the weight's shape, drawn for this step.
    offset: tf.Tensor | None = None
    # Of static activations.
    ranges: StaticRanges | None = None
