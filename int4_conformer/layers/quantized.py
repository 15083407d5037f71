"""What all quantized layers share: the config, and the variables that it asks for."""

import functools
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.keras_internals import own_variables, sublayers
from int4_conformer.quant.context import context
from int4_conformer.quant.products.base import QuantState, StaticRanges
from int4_conformer.quant.products.trained import products
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe, resolve

# Takes the config and a state for each matrix; returns a tensor or a structure of them.
Product = Callable[..., Any]

# A learned clip stays in this range: at most the maximum, and never a scale of zero.
_SMALLEST_CLIP = 1 / 64


class Quantized:
    """Mixin, to be named before a Keras layer, whose arguments it takes beside its own.

    Master weights are float32 under every dtype policy; outputs have the compute dtype.

    Args:
        quant: `QuantConfig`, `Recipe` (resolved at its path), the name of a scheme such as
            "w4c_a8d" or of a preset such as "w4a8", or None for float.
    """

    def __init__(self, *args: Any, quant: QuantConfig | Recipe | str | None = None, **kwargs: Any):
        # Set first, since some layers build themselves or their parts as they are made.
        self.quant = resolve(quant)
        self._matrix_shapes: dict[str, tuple[int, ...]] = {}
        self._sum_axis = 0
        self._quant_names: list[str] = []
        super().__init__(*args, **kwargs)

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        return super().add_weight(*args, **(kwargs | {"autocast": False, "dtype": "float32"}))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"quant": self.quant.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Quantized":
        return cls(**(config | {"quant": QuantConfig.from_config(config["quant"])}))

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        # Some Keras layers store the variables they know, by position, and no others.
        if len(store.keys()) < len(own_variables(self)):
            for variable in self.quant_variables:
                store[variable.name] = variable.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        for variable in self.quant_variables:
            if variable.name in store.keys():  # noqa: SIM118 (an HDF5 store is no mapping)
                variable.assign(store[variable.name])

    @property
    def quant_variables(self) -> list[keras.Variable]:
        """The variables that quantization adds to those of the Keras layer."""
        return [getattr(self, name) for name in self._quant_names]

    @property
    def weight_count(self) -> int:
        """Number of weights, without what quantization adds to them."""
        added = [variable for part in self.parts() for variable in part.quant_variables]
        return self.count_params() - sum(math.prod(variable.shape) for variable in added)

    def stored_bytes(self, config: QuantConfig | None = None) -> int:
        """Bytes of the layer's weights in a `.tflite` file; what is not quantized is float32.

        Args:
            config: another than the layer's own.
        """
        config, stored = config or self.quant, 4 * self.weight_count
        for part in self.parts():
            for weight, shape, axis in part.matrices():
                weights = math.prod(weight.shape)
                stored += config.stored_bytes(weights, shape[axis]) - 4 * weights
        return stored

    def matrices(self) -> list[tuple[keras.Variable, tuple[int, ...], int]]:
        """The weights that are quantized, of this layer alone, each with the shape of the matrix
        that it is quantized as, and the axis of this that products sum over."""
        return [
            (getattr(self, name), shape, self._sum_axis)
            for name, shape in self._matrix_shapes.items()
        ]

    def padded_inputs(self) -> dict[str, tuple[int, int]]:
        """Number of inputs of the weights that a `.tflite` file pads with zeros for each output,
        without and with these: those whose codes do not fill whole bytes."""
        return {
            name: (inputs, inputs + part.quant.padding(inputs))
            for part in self.parts()
            for name, shape in part._matrix_shapes.items()
            if part.quant.padding(inputs := shape[part._sum_axis])
        }

    def parts(self) -> list["Quantized"]:
        """The layer and the quantized ones within it, which have its config.

        A method, since Keras saves what properties hold, and this would be without end.
        """
        below = [
            part
            for layer in sublayers(self)
            if isinstance(layer, Quantized)
            for part in layer.parts()
        ]
        return [self, *below]

    def _add_quant_state(self, matrix_shapes: Mapping[str, Sequence[int]], axis: int = 0) -> None:
        """Adds the variables that the config asks for.

        Args:
            matrix_shapes: of each weight as a matrix, by the weight's name.
            axis: the axis that products sum over.
        """
        self._matrix_shapes = {name: tuple(shape) for name, shape in matrix_shapes.items()}
        self._sum_axis = axis
        if self.quant.weight_bits is None:
            return
        for name, matrix_shape in matrix_shapes.items():
            if self.quant.learned_clip:
                shape = list(matrix_shape)
                shape[axis] = 1 if self.quant.block is None else shape[axis] // self.quant.block
                if self.quant.granularity == "tensor":
                    shape = [1, 1]
                self._add_quant_variable(
                    f"{name}_clip", shape, initializer="ones", constraint=_ClipConstraint()
                )
            if self.quant.activation == "int8_static":
                for end in ("input", "output"):
                    self._add_quant_variable(
                        f"{name}_{end}_range", (2,), trainable=False, aggregation="mean"
                    )
        if self.quant.stochastic_rounding or self.quant.weight_noise:
            self.quant_seed = keras.random.SeedGenerator()
        if self.quant.start_step:
            self._add_quant_variable(
                "quant_step",
                (),
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
            )

    def _add_quant_variable(self, name: str, shape: Sequence[int], **options: Any) -> None:
        options = {"initializer": "zeros", "dtype": "float32", "autocast": False} | options
        setattr(self, name, super().add_weight(shape=shape, name=name, **options))
        self._quant_names.append(name)

    def _quantized(self, product: Product, training: bool | None) -> Any:
        """`_run`, with outputs of the compute dtype."""
        y = self._run(product, training)
        return tf.nest.map_structure(lambda part: tf.cast(part, self.compute_dtype), y)

    def _run(self, product: Product, training: bool | None) -> Any:
        """Runs a product by the config and its variables, or in float before `start_step`.

        A call in training is a step, unless it is traced within `at_step`: a layer that a model
        calls twice counts each step twice.

        Raises:
            UserError: the config's blocks do not divide the inputs. Not in `build`, whose errors
                Keras takes for a reason to do without it.
        """
        self._require_whole_blocks()
        states = [self._quant_state(name, bool(training)) for name in self._matrix_shapes]
        quantized = functools.partial(product, self.quant, *states)
        plain = functools.partial(product, QuantConfig(), *[QuantState()] * len(states))
        if context().in_float:
            return plain()
        if not products().trains or not self.quant.start_step or self.quant.weight_bits is None:
            return quantized()
        step = context().step
        if training and step is None:
            self.quant_step.assign_add(1)
        if step is None:
            return tf.cond(self.quant_step > self.quant.start_step, quantized, plain)
        return plain() if step < self.quant.start_step else quantized()

    def _require_whole_blocks(self) -> None:
        for name, shape in self._matrix_shapes.items():
            inputs = shape[self._sum_axis]
            if self.quant.block is not None and inputs % self.quant.block:
                raise UserError(
                    f"Blocks of {self.quant.block} do not divide the {inputs} inputs of "
                    f"{self.path}/{name}; choose a block that does, or one scale a channel."
                )

    def _quant_state(self, name: str, training: bool) -> QuantState:
        if self.quant.weight_bits is None:
            return QuantState()
        ranges = None
        if self.quant.activation == "int8_static":
            ranges = StaticRanges(
                input=getattr(self, f"{name}_input_range"),
                output=getattr(self, f"{name}_output_range"),
                decay=self.quant.range_decay if training else None,
            )
        return QuantState(
            clip=getattr(self, f"{name}_clip") if self.quant.learned_clip else None,
            offset=self._noise(self._matrix_shapes[name]) if training else None,
            ranges=ranges,
        )

    def _noise(self, shape: Sequence[int]) -> tf.Tensor | None:
        """What is added to the weights, in units of their scales, before they are rounded."""
        noise = None
        if self.quant.stochastic_rounding:
            # Rounding x + u to nearest, u uniform in one step, is rounding x at random.
            noise = tf.random.stateless_uniform(shape, self.quant_seed.next(), -0.5, 0.5)
        if self.quant.weight_noise:
            gaussian = tf.random.stateless_normal(
                shape, self.quant_seed.next(), 0.0, self.quant.weight_noise
            )
            noise = gaussian if noise is None else noise + gaussian
        return noise


def count_step(root: keras.layers.Layer) -> None:
    """Counts a training step in those layers of a layer or model that have a `start_step`.

    For steps that are traced within `at_step`, where calls do not count.
    """
    for variable in root.non_trainable_variables:
        if variable.name == "quant_step":
            variable.assign_add(1)


@keras.saving.register_keras_serializable(package="int4_conformer")
class _ClipConstraint(keras.constraints.Constraint):
    """Keeps learned clips where they mean something."""

    def __call__(self, clip: tf.Tensor) -> tf.Tensor:
        return keras.ops.clip(clip, _SMALLEST_CLIP, 1.0)
