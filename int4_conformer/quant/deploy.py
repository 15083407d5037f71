"""Tracing a model for a target: which weights its graph multiplies by.

A model is exported by tracing its forward pass within `deploying(...)`. Every product then asks
the deployment for its weight, in the integers of this moment, instead of quantizing the master
weight in the graph; whatever layers the model has, and however often they are called, each weight
is deployed once, under the path of its variable.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Literal

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.snap import quantize_weight
from int4_conformer.quant.state import QuantState, StaticRanges
from int4_conformer.quant.tensor import QTensor

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
    # What the graph reads: the values on their grid ("float_twin"), or codes and scales as
    # variables ("integers").
    in_graph: tf.Variable | QTensor


class Deployment:
    """Collects the weights of a model while its graph is traced.

    Args:
        target: "float_twin" makes a float32 graph whose weights lie on their grids and whose
            8-bit activations are left to the runtime, as a TFLite file is packed from;
            "integers" makes a graph of integer products that needs no XLA, for a SavedModel.
    """

    def __init__(self, target: Target):
        self.target = target
        # By name: weights that matmuls and look-ups read, which a file can hold in integers.
        self.matrices: dict[str, DeployedMatrix] = {}
        # By name: weights of depthwise convolutions, for which no runtime has integer kernels that
        # take float inputs; a TFLite file holds their values.
        self.depthwise: dict[str, DeployedMatrix] = {}
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

    def matrix(
        self,
        name: str,
        read: Callable[[], tf.Tensor],
        config: QuantConfig,
        axis: int,
        state: QuantState,
        read_bias: Callable[[], tf.Tensor] | None = None,
    ) -> DeployedMatrix:
        """The deployed form of the matrix that `read` returns when called outside any graph."""
        return self._held(self.matrices, name, read, config, axis, state, read_bias)

    def depthwise_matrix(
        self, name: str, read: Callable[[], tf.Tensor], config: QuantConfig, state: QuantState
    ) -> DeployedMatrix:
        """The same for a depthwise kernel, [taps, channels]."""
        return self._held(self.depthwise, name, read, config, 0, state)

    def _held(
        self,
        weights: dict[str, DeployedMatrix],
        name: str,
        read: Callable[[], tf.Tensor],
        config: QuantConfig,
        axis: int,
        state: QuantState,
        read_bias: Callable[[], tf.Tensor] | None = None,
    ) -> DeployedMatrix:
        if name not in weights:
            with tf.init_scope():
                tensor = quantize_weight(read(), config, axis, clip=state.clip)
                ranges = _fixed(state.ranges)
                if config.activation == "int8_static" and ranges is None:
                    # A table in which vectors are looked up, and nothing else.
                    config = dataclasses.replace(config, activation="float")
                weights[name] = DeployedMatrix(
                    name=name,
                    tensor=tensor,
                    axis=axis,
                    config=config,
                    ranges=ranges,
                    bias=None if read_bias is None else read_bias(),
                    in_graph=self._in_graph(name, tensor),
                )
        return weights[name]

    def _in_graph(self, name: str, tensor: QTensor) -> tf.Variable | QTensor:
        # Not every sign of a name may stand in that of a variable.
        name = re.sub(r"[^\w./-]", "_", name)
        if self.target == "float_twin":
            return tf.Variable(tensor.dequantize(), trainable=False, name=name)
        return dataclasses.replace(
            tensor,
            codes=tf.Variable(tensor.codes, trainable=False, name=f"{name}/codes"),
            scale=tf.Variable(tensor.scale, trainable=False, name=f"{name}/scale"),
        )


def _fixed(ranges: StaticRanges | None) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The ranges as they are now, outside any graph; None if no training has seen any."""
    if ranges is None:
        return None
    fixed = tf.convert_to_tensor(ranges.input), tf.convert_to_tensor(ranges.output)
    return None if any(low == high for low, high in fixed) else fixed


_current: Deployment | None = None


@contextlib.contextmanager
def deploying(target: Target) -> Iterator[Deployment]:
    """Within this context, traced products use deployed weights, which the deployment collects."""
    global _current
    before, _current = _current, Deployment(target)
    try:
        yield _current
    finally:
        _current = before


def deployment() -> Deployment | None:
    """The deployment that a graph is being traced for, if any."""
    return _current
