"""What a product is computed by, in training and in each form of deployment."""

import abc
import dataclasses
from collections.abc import Callable

import tensorflow as tf

from int4_conformer.quant.numerics.straight_through import StraightThrough
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.spec.quant_config import Backend, QuantConfig


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weight:
    """A variable as the matrix that a product multiplies by."""

    # The variable, or what `Products.before_loop` made of it.
    variable: tf.Variable | StraightThrough
    # Makes the matrix of it.
    to_matrix: Callable[[tf.Tensor], tf.Tensor] = tf.convert_to_tensor
    # The axis of the matrix that meets the last axis of the activations.
    axis: int = 0
    # Suffix of its name, where one variable makes several matrices.
    part: str = ""
    # Float, added to the product, or None; and what makes [out] of it.
    bias: tf.Tensor | None = None
    to_vector: Callable[[tf.Tensor], tf.Tensor] = tf.convert_to_tensor

    def matrix(self) -> tf.Tensor | StraightThrough:
        if isinstance(self.variable, StraightThrough):
            return self.variable
        return self.to_matrix(self.variable)

    def vector(self) -> tf.Tensor | None:
        return None if self.bias is None else self.to_vector(self.bias)


class Products(abc.ABC):
    """How weights meet activations in what is traced now."""

    # Whether this is training or evaluation of what is trained: layers then count steps, and may
    # compute in float before their `start_step`.
    trains: bool

    @abc.abstractmethod
    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        """Rows float [rows, in] times the weight -> float32 [rows, out]."""

    @abc.abstractmethod
    def before_loop(
        self, kernel: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor | StraightThrough:
        """What a loop should multiply by in place of its kernel [in, out]."""

    @abc.abstractmethod
    def lookup(
        self, ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        """Rows of a quantized table: int [n], float [vocab, dim] -> float32 [n, dim]."""

    @abc.abstractmethod
    def depthwise_kernel(self, weight: Weight, config: QuantConfig, state: QuantState) -> tf.Tensor:
        """The values [taps, channels] of a quantized depthwise kernel."""

    @abc.abstractmethod
    def product_of_codes(self, a: QTensor, b: QTensor, backend: Backend) -> tf.Tensor:
        """float32 [..., m, n] of codes [..., m, k] and [..., k, n], neither of them a weight."""

    @abc.abstractmethod
    def depthwise_conv(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """[batch, time, channels] by [taps, channels] -> [batch, time - taps + 1, channels]."""

    @abc.abstractmethod
    def with_row(self, rows: tf.Tensor, index: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        """`rows` [n, ...] with `row` [...] at `index`."""
