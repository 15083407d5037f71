"""Products of a trained model that follow a file: what each multiplies is what the file does.

Floats are rounded, and sums come in another order in another program, so that one activation in
some ten thousand falls on the other side of the border between two codes. Everything behind it
then differs a little, and its codes with it: after some layers nothing is left to compare. So each
product here compares what it is given with what the same product of the file was given, counts the
codes that differ, and then goes on with the file's. Every product is that of training, and has to
agree with the file's to within the rounding of a few operations.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.layers.paths import relative_path
from int4_conformer.quant.deploy import FloatTwin
from int4_conformer.quant.numerics.activations import quantize_rows
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.products.base import QuantState, Weight
from int4_conformer.quant.products.static import quantize_static
from int4_conformer.quant.products.trained import TrainedProducts
from int4_conformer.quant.spec.quant_config import QuantConfig


@dataclasses.dataclass(kw_only=True)
class Agreement:
    """How the activations of a model agree with those of a file."""

    # Codes of activations that were compared, and those that differ.
    codes: int = 0
    flipped: int = 0
    # The most that a code differs.
    largest_flip: int = 0
    # The most that an activation differs, in units of the range of its row; and of which weight.
    distance: float = 0.0
    where: str = ""
    # Products that the file does not show, being in loops.
    unseen: int = 0

    def add(self, other: "Agreement") -> None:
        """Counts what was found elsewhere, too."""
        self.codes += other.codes
        self.flipped += other.flipped
        self.unseen += other.unseen
        self.largest_flip = max(self.largest_flip, other.largest_flip)
        if other.distance > self.distance:
            self.distance, self.where = other.distance, other.where


class FollowedProducts(TrainedProducts):
    """Products for eager calls of a model.

    Args:
        model: whose products they are.
        given: what a file's products by each weight were given, float32 [..., in] each, in the
            order in which they ran, by the weight's path.
        weights: collects the integers of the weights, as a file should hold them.
    """

    trains = False

    def __init__(
        self,
        model: keras.layers.Layer,
        given: Mapping[str, Sequence[np.ndarray]],
        weights: "Integers",
    ):
        self._model = model
        self._given = {name: collections.deque(rows) for name, rows in given.items()}
        self._weights = weights
        self.agreement = Agreement()

    def matrix_product(
        self, x: tf.Tensor, weight: Weight, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        if config.weight_bits is not None:
            held = self._weights.matrix(weight, config, state)
            if config.activation != "float":
                x = self._followed(relative_path(held.name, self._model), x, config, state)
        return super().matrix_product(x, weight, config, state)

    def before_loop(self, kernel: tf.Tensor, config: QuantConfig, state: QuantState) -> tf.Tensor:
        # Its products shall know whose it is.
        return kernel

    def lookup(
        self, ids: tf.Tensor, table: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        self._weights.matrix(Weight(variable=table, axis=1), config, state)
        return super().lookup(ids, table, config, state)

    def _followed(
        self, name: str, x: tf.Tensor, config: QuantConfig, state: QuantState
    ) -> tf.Tensor:
        """The file's rows in the place of one's own, if it shows them."""
        if not self._given.get(name):
            self.agreement.unseen += 1
            return x
        rows = self._given[name].popleft()
        # An odd number of inputs is padded in files.
        rows = tf.constant(rows.reshape(-1, rows.shape[-1])[:, : x.shape[1]])
        own, other = (_centred(_quantized(y, config, state)) for y in (x, rows))
        flips = np.abs(own - other)
        found = Agreement(
            codes=flips.size,
            flipped=int(np.count_nonzero(flips)),
            largest_flip=int(flips.max(initial=0)),
        )
        if config.activation in ("int8_asymmetric", "int8_symmetric"):
            # The others stand on their grid in the file.
            found.distance, found.where = _distance(x.numpy(), rows.numpy()), name
        self.agreement.add(found)
        return rows


class Integers(FloatTwin):
    """The integers of a model's weights, collected while it computes by other products."""

    def _in_graph(self, name: str, tensor: QTensor) -> None:
        return None


def _quantized(x: tf.Tensor, config: QuantConfig, state: QuantState) -> QTensor:
    if config.activation == "int8_static":
        return quantize_static(x, tf.convert_to_tensor(state.ranges.input))
    return quantize_rows(x, config.activation)


def _centred(rows: QTensor) -> np.ndarray:
    """Codes less their zero points: a zero point that is one off moves no value."""
    codes = rows.codes.numpy().astype(np.int32)
    return codes if rows.zero_point is None else codes - rows.zero_point.numpy()


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, in units of the range of its row, which contains zero."""
    span = np.maximum(one.max(axis=1, initial=0), 0) - np.minimum(one.min(axis=1, initial=0), 0)
    difference = np.abs(one - other).max(axis=1, initial=0)
    return float((difference / np.where(span > 0, span, 1)).max(initial=0))
