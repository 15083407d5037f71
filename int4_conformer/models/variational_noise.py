"""Noise on the weights of a step's loss and gradients."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from int4_conformer.errors import require_not_negative
from int4_conformer.layers.paths import quantized_layers

if TYPE_CHECKING:
    from int4_conformer.models.transducer import Transducer


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariationalNoise:
    """Gaussian noise on float weights (arXiv 2005.08100, section 3.1; Graves, NIPS 2011), from
    which integers are then made."""

    # Its standard deviation.
    stddev: float
    # Step from which on it is added.
    start_step: int = 0
    # Whether encoders have it, too, beside the prediction networks.
    encoder: bool = False

    def __post_init__(self) -> None:
        require_not_negative(stddev=self.stddev, start_step=self.start_step)

    def weights_of(self, model: "Transducer") -> list[keras.Variable]:
        """The weights that have it: matrices, not biases, norms or what quantization adds."""
        parts = [model.predictor, model.second_predictor]
        if self.encoder:
            parts += [model.encoder, model.second_pass]
        added = {
            id(variable)
            for layer in quantized_layers(model).values()
            for part in layer.parts()
            for variable in part.quant_variables
        }
        return [
            variable
            for part in parts
            if part is not None
            for variable in part.trainable_variables
            if len(variable.shape) > 1 and id(variable) not in added
        ]

    @contextlib.contextmanager
    def on(self, weights: list[keras.Variable], step: tf.Tensor, seed: tf.Tensor) -> Iterator[None]:
        """Lets the weights have their noise for a while; then they are as before, bit for bit.

        Args:
            weights: as `weights_of` gives them.
            step: int [], the steps that were taken before.
            seed: int32 [], of this step.
        """
        held = [tf.identity(weight.value) for weight in weights]
        stddev = tf.where(step >= self.start_step, self.stddev, 0.0)
        for number, (weight, value) in enumerate(zip(weights, held, strict=True)):
            noise = tf.random.stateless_normal(value.shape, tf.stack([seed, -1 - number]))
            weight.assign(value + stddev * noise)
        yield
        for weight, value in zip(weights, held, strict=True):
            weight.assign(value)
