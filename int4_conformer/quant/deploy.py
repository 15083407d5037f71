"""Tracing a model for a target: which weights its graph multiplies by.

A model is exported by tracing its forward pass within `deploying(...)`. Every product then asks
the deployment for its weight, in the integers of this moment, instead of quantizing the master
weight in the graph; whatever layers the model has, and however often they are called, each weight
is deployed once, under the path of its variable.
"""

import abc
import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import Literal

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from int4_conformer.errors import UserError
from int4_conformer.quant.context import changed, traced_once
from int4_conformer.quant.folding_barrier import FOLDING_BARRIER
from int4_conformer.quant.numerics.activations import quantize_rows
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.numerics.weight import quantize_weight
from int4_conformer.quant.products.base import Products, QuantState, StaticRanges, Weight
from int4_conformer.quant.products.depthwise import conv_by_parts
from int4_conformer.quant.products.matmul import portable_backend
from int4_conformer.quant.products.portable_product import portable_product
from int4_conformer.quant.products.static import deployed_static_product
from int4_conformer.quant.products.trained import TrainedProducts
from int4_conformer.quant.spec.quant_config import Activation, Backend, QuantConfig
from int4_conformer.quant.stored_weight import StoredWeight, UnpackedCodes

Target = Literal["float_twin", "integers"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeployedMatrix:
    """A weight as the traced graph holds it."""

    # As `Deployment.name` says of the variable that is its master.
    name: str
    # Codes and scales, eager tensors.
    tensor: QTensor
    # The axis that products sum over.
    axis: int
    config: QuantConfig
    # float32 [2] each, of input and output, if activations are static.
    ranges: tuple[tf.Tensor, tf.Tensor] | None
    # float32 [out] that is added to the product, an eager tensor, or None.
    bias: tf.Tensor | None
    # What the graph reads: the values on their grid ("float_twin"), or codes and scales
    # ("integers"); None where there is no graph.
    in_graph: tf.Variable | StoredWeight | None


# For what is float in any graph.
_TRAINED = TrainedProducts()


class Deployment(Products):
    """Collects the weights of a model while its graph is traced."""

    trains = False

    def __init__(self) -> None:
        # By name: weights that matmuls and look-ups read, which a file can hold in integers.
        self.matrices: dict[str, DeployedMatrix] = {}
        # By name: weights of depthwise convolutions, for which no runtime has integer kernels that
        # take float inputs; a TFLite file holds their values.
        self.depthwise: dict[str, DeployedMatrix] = {}
        # What the traced graphs read, once they are: variables of the model that stay float, and
        # those of deployed weights.
        self.variables: list[tf.Variable] = []
        # The variables of each path: those of two models within one may have the same.
        self._named: dict[str, list[tf.Variable]] = {}

    def name(self, weight: tf.Variable) -> str:
        """The name of a layer's variable here: its path, with a number if it is not the first.

        Raises:
            UserError: it is no variable of a Keras layer.
        """
        path = getattr(weight, "path", None)
        if path is None:
            raise UserError(
                "Only variables of Keras layers can be deployed, since a deployed weight needs a "
                f"name. Received: {type(weight).__name__}"
            )
        known = self._named.setdefault(path, [])
        index = next((i for i, other in enumerate(known) if other is weight), len(known))
        if index == len(known):
            known.append(weight)
        return f"{path}~{index}" if index else path

    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        if config.weight_bits is None:
            return _TRAINED.matrix_product(x, weight, config, state)
        held = self.matrix(weight, config, state)
        if config.activation == "int8_static" and held.ranges is None:
            raise UserError(
                f"{held.name} has static activations but no range yet; train the model for some "
                "steps, or call it with training=True on a few batches."
            )
        return self._product(x, held, weight.vector())

    @abc.abstractmethod
    def _product(self, x: tf.Tensor, held: DeployedMatrix, bias: tf.Tensor | None) -> tf.Tensor:
        """float32 [rows, in] times a deployed matrix."""

    def before_loop(self, kernel: tf.Tensor, config: QuantConfig, state: QuantState) -> tf.Tensor:
        return kernel

    def lookup(
        self, ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        held = self.matrix(Weight(variable=table, axis=1), config, state)
        rows, dim = self._looked_up(ids, held), table.shape[1]
        return rows if rows.shape[1] == dim else rows[:, :dim]

    @abc.abstractmethod
    def _looked_up(self, ids: tf.Tensor, held: DeployedMatrix) -> tf.Tensor:
        """Rows of a deployed table."""

    def depthwise_kernel(self, weight: Weight, config: QuantConfig, state: QuantState) -> tf.Tensor:
        return self._values(self._held(self.depthwise, weight, config, state))

    @abc.abstractmethod
    def _values(self, held: DeployedMatrix) -> tf.Tensor:
        """float32: what the codes of a deployed matrix stand for."""

    def depthwise_conv(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        # TFLite has a kernel for it.
        return conv_by_parts(x, kernel)

    def matrix(self, weight: Weight, config: QuantConfig, state: QuantState) -> DeployedMatrix:
        """The deployed form of a matrix, which is made of it once, outside any graph."""
        return self._held(self.matrices, weight, config, state)

    def _held(
        self,
        weights: dict[str, DeployedMatrix],
        weight: Weight,
        config: QuantConfig,
        state: QuantState,
    ) -> DeployedMatrix:
        """The deployed form of a weight, which is made of it once, outside any graph."""
        name = self.name(weight.variable) + weight.part
        if name not in weights:
            with tf.init_scope():
                tensor = quantize_weight(weight.matrix(), config, weight.axis, clip=state.clip)
                if weights is self.matrices:
                    tensor = self._padded(tensor, weight.axis, config)
                ranges = _fixed(state.ranges)
                if config.activation == "int8_static" and ranges is None:
                    # A table in which vectors are looked up, and nothing else.
                    config = dataclasses.replace(config, activation="float")
                weights[name] = DeployedMatrix(
                    name=name,
                    tensor=tensor,
                    axis=weight.axis,
                    config=config,
                    ranges=ranges,
                    bias=weight.vector(),
                    # Not every sign of a name may stand in that of a variable.
                    in_graph=self._in_graph(re.sub(r"[^\w./-]", "_", name), tensor),
                )
        return weights[name]

    def _padded(self, tensor: QTensor, axis: int, config: QuantConfig) -> QTensor:
        """A matrix as the target multiplies it, perhaps with zeros after its last inputs."""
        return tensor

    @property
    def resources(self) -> list[UnpackedCodes]:
        """What the graph reads beside variables."""
        held = [*self.matrices.values(), *self.depthwise.values()]
        stored = [x.in_graph.codes for x in held if isinstance(x.in_graph, StoredWeight)]
        return [codes for codes in stored if isinstance(codes, UnpackedCodes)]

    @abc.abstractmethod
    def _in_graph(self, name: str, tensor: QTensor) -> tf.Variable | StoredWeight | None:
        """What the graph reads."""


class FloatTwin(Deployment):
    """A float32 graph whose weights lie on their grids and whose 8-bit activations are left to the
    runtime, as a TFLite file is packed from."""

    def _padded(self, tensor: QTensor, axis: int, config: QuantConfig) -> QTensor:
        # Zeros change no sum, and no range of activations: all of them contain it.
        padding = config.padding(tensor.codes.shape[axis])
        if not padding:
            return tensor
        after = [[0, padding if axis == side else 0] for side in range(2)]
        return dataclasses.replace(tensor, codes=tf.pad(tensor.codes, after))

    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        # No factor that follows changes a weight, of float layers either.
        return tf.minimum(super().matrix_product(x, weight, config, state), FOLDING_BARRIER)

    def _in_graph(self, name: str, tensor: QTensor) -> tf.Variable:
        return tf.Variable(tensor.dequantize(), trainable=False, name=name)

    def _product(self, x: tf.Tensor, held: DeployedMatrix, bias: tf.Tensor | None) -> tf.Tensor:
        if held.config.activation == "int4_symmetric":
            # No runtime has kernels for 4-bit activations.
            x = quantize_rows(x, held.config.activation).dequantize()
        if padding := held.in_graph.shape[held.axis] - x.shape[1]:
            x = tf.pad(x, [[0, 0], [0, padding]])
        x = tf.minimum(x, FOLDING_BARRIER)
        y = tf.matmul(x, held.in_graph, transpose_b=held.axis == 1)
        return y if bias is None else y + bias

    def _looked_up(self, ids: tf.Tensor, held: DeployedMatrix) -> tf.Tensor:
        return tf.gather(held.in_graph, ids)

    def _values(self, held: DeployedMatrix) -> tf.Tensor:
        return tf.convert_to_tensor(held.in_graph)

    def product_of_codes(self, a: QTensor, b: QTensor, backend: Backend) -> tf.Tensor:
        # No runtime has integer kernels for two operands that are quantized at run time.
        return tf.matmul(tf.cast(a.codes, tf.float32), tf.cast(b.codes, tf.float32))

    def with_row(self, rows: tf.Tensor, index: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        # The converter makes one operator of this, and ten of a scatter; TensorFlow has no kernel.
        start = tf.stack([index] + [0] * row.shape.rank)
        return xla.dynamic_update_slice(rows, row[None], start)


class IntegerGraph(Deployment):
    """A graph of integer products that needs no XLA, for a SavedModel."""

    def _in_graph(self, name: str, tensor: QTensor) -> StoredWeight:
        return StoredWeight.of(tensor, name)

    def _product(self, x: tf.Tensor, held: DeployedMatrix, bias: tf.Tensor | None) -> tf.Tensor:
        config, axis, weight = held.config, held.axis, held.in_graph.read()
        if config.activation == "int8_static":
            return deployed_static_product(x, weight, axis, bias, held.ranges)
        if config.is_integer:
            # A function of its own for each shape: the graph of a large model is a large file.
            product = traced_once(_portable_product, axis, config.activation, weight.bits)
            return product(x, weight.codes, weight.scale, bias)
        y = tf.matmul(x, weight.dequantize(), transpose_b=axis == 1)
        return y if bias is None else y + bias

    def _looked_up(self, ids: tf.Tensor, held: DeployedMatrix) -> tf.Tensor:
        table = held.in_graph.read()
        scale = table.scale if table.scale.shape[0] == 1 else tf.gather(table.scale, ids)
        rows = QTensor(codes=tf.gather(table.codes, ids), scale=scale, bits=table.bits)
        return rows.dequantize()

    def _values(self, held: DeployedMatrix) -> tf.Tensor:
        return held.in_graph.read().dequantize()

    def product_of_codes(self, a: QTensor, b: QTensor, backend: Backend) -> tf.Tensor:
        backend = portable_backend(a.codes.shape[-1])
        return _TRAINED.product_of_codes(a, b, backend)

    def with_row(self, rows: tf.Tensor, index: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        return _TRAINED.with_row(rows, index, row)


def _portable_product(
    axis: int,
    activation: Activation,
    bits: int,
    x: tf.Tensor,
    codes: tf.Tensor,
    scale: tf.Tensor,
    bias: tf.Tensor | None,
) -> tf.Tensor:
    weight = QTensor(codes=codes, scale=scale, bits=bits)
    return portable_product(x, weight, axis, activation, bias)


_TARGETS = {"float_twin": FloatTwin, "integers": IntegerGraph}


@contextlib.contextmanager
def deploying(target: Target) -> Iterator[Deployment]:
    """Within this context, traced products use deployed weights, which the deployment collects.

    Args:
        target: "float_twin" (`FloatTwin`) or "integers" (`IntegerGraph`).
    """
    deployment = _TARGETS[target]()
    with changed(products=deployment):
        yield deployment


def _fixed(ranges: StaticRanges | None) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The ranges as they are now, outside any graph; None if no training has seen any."""
    if ranges is None:
        return None
    fixed = tf.convert_to_tensor(ranges.input), tf.convert_to_tensor(ranges.output)
    return None if any(low == high for low, high in fixed) else fixed
