"""What quantization costs each weight and what it is multiplied by, on some real input."""

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from int4_conformer.quant.context import changed
from int4_conformer.quant.numerics.activations import quantize_rows
from int4_conformer.quant.numerics.straight_through import StraightThrough
from int4_conformer.quant.numerics.tensor import QTensor, spread
from int4_conformer.quant.numerics.weight import quantize_weight
from int4_conformer.quant.products.base import QuantState, Weight
from int4_conformer.quant.products.static import quantize_static
from int4_conformer.quant.products.trained import TrainedProducts
from int4_conformer.quant.spec.quant_config import QuantConfig, levels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What quantization took from a tensor."""

    # Root of the ratio of sums of squares, error over tensor; 0 for what stays float.
    error: float
    # Share of the elements that lie beyond the outermost codes.
    clipped: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightLosses:
    """Of a product: of its weight, and of the activations that meet it."""

    weight: Loss
    # None where they stay float.
    activations: Loss | None = None


@contextlib.contextmanager
def measured() -> Iterator[dict[str, WeightLosses]]:
    """What quantization costs in what is called within; by the paths of the weights.

    Only calls outside of graphs are measured. Of a weight that is used again, the last use counts.

    Example:

        >>> from int4_conformer.layers import QuantDense
        >>> layer = QuantDense(3, quant="w4c_a8d", name="dense")
        >>> with measured() as found:
        ...     y = layer(tf.random.stateless_uniform([2, 8], [1, 2]))
        >>> found["dense/kernel"].weight.error < 0.2
        True
    """
    products = _MeasuringProducts()
    with changed(products=products):
        yield products.found


class _MeasuringProducts(TrainedProducts):
    def __init__(self) -> None:
        self.found: dict[str, WeightLosses] = {}

    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        if not isinstance(weight.variable, StraightThrough):
            self._note(weight, config, state, x)
        return super().matrix_product(x, weight, config, state)

    def before_loop(
        self, kernel: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor | StraightThrough:
        self._note(Weight(variable=kernel), config, state)
        return super().before_loop(kernel, config, state)

    def lookup(
        self, ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        self._note(Weight(variable=table, axis=1), config, state)
        return super().lookup(ids, table, config, state)

    def depthwise_kernel(self, weight: Weight, config: QuantConfig, state: QuantState) -> tf.Tensor:
        self._note(weight, config, state)
        return super().depthwise_kernel(weight, config, state)

    def _note(
        self,
        weight: Weight,
        config: QuantConfig,
        state: QuantState,
        x: tf.Tensor | None = None,
    ) -> None:
        if config.weight_bits is None or not tf.executing_eagerly():
            return
        path = getattr(weight.variable, "path", "weight") + weight.part
        matrix = tf.convert_to_tensor(weight.matrix())
        held = quantize_weight(matrix, config, weight.axis, clip=state.clip)
        outermost = (levels(held.bits) + 0.5) * spread(held.scale, matrix.shape)
        self.found[path] = WeightLosses(
            weight=_loss(matrix, held, tf.abs(matrix) > outermost),
            activations=None if x is None else _activation_loss(x, config, state),
        )


def _activation_loss(x: tf.Tensor, config: QuantConfig, state: QuantState) -> Loss | None:
    if config.activation == "float":
        return None
    x = tf.cast(x, tf.float32)
    if config.activation == "int8_static":
        held = quantize_static(x, state.ranges.input)
        low, high = tf.unstack(tf.convert_to_tensor(state.ranges.input))
        half = held.scale / 2.0
        return _loss(x, held, (x > tf.maximum(high, 0.0) + half) | (x < tf.minimum(low, 0) - half))
    # Ranges of rows are those of their elements.
    return _loss(x, quantize_rows(x, config.activation), tf.zeros_like(x, tf.bool))


def _loss(x: tf.Tensor, held: QTensor, clipped: tf.Tensor) -> Loss:
    whole = tf.reduce_sum(tf.square(x))
    wrong = tf.reduce_sum(tf.square(held.dequantize() - x))
    return Loss(
        error=float(tf.sqrt(tf.math.divide_no_nan(wrong, whole))),
        clipped=float(tf.reduce_mean(tf.cast(clipped, tf.float32))),
    )
