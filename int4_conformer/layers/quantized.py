"""What all quantized layers share: the config, and the variables that it asks for."""

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.deploy import deployment
from int4_conformer.quant.recipe import Recipe, resolve
from int4_conformer.quant.state import QuantState, StaticRanges

Product = Callable[[QuantConfig, QuantState], tf.Tensor]

# A learned clip stays in this range: at most the maximum, and never a scale of zero.
_SMALLEST_CLIP = 1 / 64


class Quantized:
    """Mixin, to be named before a Keras layer, whose arguments it takes beside its own.

    Master weights stay in float32 also under mixed precision; outputs have the compute dtype.

    Args:
        quant: `QuantConfig`, `Recipe` (resolved at its path), the name of a scheme such as
            "w4c_a8d" or of a preset such as "w4a8", or None for float.
    """

    def __init__(self, *args: Any, quant: QuantConfig | Recipe | str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.quant = resolve(quant)

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        return super().add_weight(*args, **({"autocast": False} | kwargs))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"quant": self.quant.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Quantized":
        return cls(**(config | {"quant": QuantConfig.from_config(config["quant"])}))

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        # Some Keras layers store the variables they know, by position, and no others.
        if len(store.keys()) < len(self._trainable_variables + self._non_trainable_variables):
            for variable in self._quant_variables():
                store[variable.name] = variable.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        for variable in self._quant_variables():
            if variable.name in store.keys():  # noqa: SIM118 (an HDF5 store is no mapping)
                variable.assign(store[variable.name])

    def _quant_variables(self) -> list[keras.Variable]:
        names = ("kernel_clip", "input_range", "output_range", "quant_step")
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def _add_quant_state(self, matrix_shape: Sequence[int], axis: int = 0) -> None:
        """Adds the variables that the config asks for.

        Args:
            matrix_shape: shape of the weight as a matrix.
            axis: the axis that products sum over.
        """
        self._matrix_shape = tuple(matrix_shape)
        if self.quant.weight_bits is None:
            return
        if self.quant.learned_clip:
            shape = list(matrix_shape)
            shape[axis] = 1 if self.quant.block is None else shape[axis] // self.quant.block
            if self.quant.granularity == "tensor":
                shape = [1, 1]
            self.kernel_clip = self.add_weight(
                shape=shape,
                initializer="ones",
                constraint=_ClipConstraint(),
                name="kernel_clip",
            )
        if self.quant.stochastic_rounding or self.quant.weight_noise:
            self.quant_seed = keras.random.SeedGenerator()
        if self.quant.activation == "int8_static":
            for name in ("input_range", "output_range"):
                variable = self.add_weight(
                    shape=(2,),
                    initializer="zeros",
                    trainable=False,
                    aggregation="mean",
                    name=name,
                )
                setattr(self, name, variable)
        if self.quant.start_step:
            self.quant_step = self.add_weight(
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name="quant_step",
            )

    def _quantized(self, product: Product, training: bool | None) -> tf.Tensor:
        """Runs a product by the config and its variables, or in float before `start_step`.

        A call in training is a step: a layer that a model calls twice counts each step twice.
        """
        state = self._quant_state(bool(training))
        if deployment() is not None or not self.quant.start_step or self.quant.weight_bits is None:
            y = product(self.quant, state)
        else:
            if training:
                self.quant_step.assign_add(1)
            y = tf.cond(
                self.quant_step > self.quant.start_step,
                lambda: product(self.quant, state),
                lambda: product(QuantConfig(), QuantState()),
            )
        return tf.cast(y, self.compute_dtype)

    def _quant_state(self, training: bool) -> QuantState:
        if self.quant.weight_bits is None:
            return QuantState()
        ranges = None
        if self.quant.activation == "int8_static":
            ranges = StaticRanges(
                input=self.input_range,
                output=self.output_range,
                decay=self.quant.range_decay if training else None,
            )
        return QuantState(
            clip=self.kernel_clip if self.quant.learned_clip else None,
            offset=self._noise() if training else None,
            ranges=ranges,
        )

    def _noise(self) -> tf.Tensor | None:
        """What is added to the weights, in units of their scales, before they are rounded."""
        noise = None
        if self.quant.stochastic_rounding:
            # Rounding x + u to nearest, u uniform in one step, is rounding x at random.
            noise = tf.random.stateless_uniform(
                self._matrix_shape, self.quant_seed.next(), -0.5, 0.5
            )
        if self.quant.weight_noise:
            gaussian = tf.random.stateless_normal(
                self._matrix_shape, self.quant_seed.next(), 0.0, self.quant.weight_noise
            )
            noise = gaussian if noise is None else noise + gaussian
        return noise


@keras.saving.register_keras_serializable(package="int4_conformer")
class _ClipConstraint(keras.constraints.Constraint):
    """Keeps learned clips where they mean something."""

    def __call__(self, clip: tf.Tensor) -> tf.Tensor:
        return keras.ops.clip(clip, _SMALLEST_CLIP, 1.0)
