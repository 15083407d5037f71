"""The Conformer's convolution module."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.depthwise_conv import depthwise_conv
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.steppable import State, follow
from int4_conformer.quant.spec.recipe import Recipe


class ConvolutionModule(keras.layers.Layer):
    """Gated pointwise layer, depthwise convolution over time, pointwise layer.

    arXiv 2005.08100, figure 2, with two changes for what it is served on: pointwise convolutions
    are dense layers (LiteRT has int4 kernels for nothing else), and layer norm stands in for batch
    norm, so that neither padding nor the batch changes a result. The depthwise kernel stays float
    (no int4 depthwise kernel takes float activations); it is under 1% of the weights.

    Args:
        dim: width of input and output.
        kernel_size: frames under the depthwise kernel.
        chunk: as in `layers.frames`. A causal kernel ends with its frame; others are centred on
            it, and see nothing beyond its chunk.
        dropout: rate at the end.
        recipe: quantization recipe at this layer's path.

    Call: float [batch, time, dim], padding_mask bool [batch, time] (False: padding) or None ->
        [batch, time, dim], without the residual. With a chunk above 1, the time is whole chunks.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        chunk: int | None,
        dropout: float,
        recipe: Recipe,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.kernel_size = kernel_size
        self.chunk = chunk
        # Frames under the kernel before the one it is for. An even kernel looks ahead once more
        # than back.
        self.before = kernel_size - 1 if chunk == 1 else (kernel_size - 1) // 2
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.up = QuantDense(2 * dim, quant=recipe.at("up"), name="up")
        self.depthwise_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="depthwise_norm")
        self.down = QuantDense(dim, quant=recipe.at("down"), name="down")
        self.dropout = Dropout(dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        limit = (3.0 / self.kernel_size) ** 0.5
        self.depthwise_kernel = self.add_weight(
            shape=(self.kernel_size, self.dim),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="depthwise_kernel",
        )

    def call(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        x = tf.pad(self._gated(x, padding_mask), [[0, 0], [self.before, 0], [0, 0]])
        return self._convolved(x, training)

    def initial_state(self, batch: int) -> State:
        """`frames` float [batch, before, dim]: what the depthwise kernel sees before the piece."""
        return {"frames": tf.zeros([batch, self.before, self.dim])}

    def step(self, x: tf.Tensor, mask: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece."""
        x, past = follow(state["frames"], self._gated(x, mask))
        return self._convolved(x, training=False), {"frames": past}

    def _gated(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        value, gate = tf.split(self.up(self.norm(x)), 2, axis=-1)
        x = value * tf.sigmoid(gate)
        # Frames past the end must look like the zeros that pad the last utterance frame.
        return x if mask is None else x * tf.cast(mask, x.dtype)[:, :, None]

    def _convolved(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """From [batch, before + time, dim] on."""
        x = depthwise_conv(x, self.depthwise_kernel, before=self.before, chunk=self.chunk)
        x = tf.nn.silu(self.depthwise_norm(x))
        return self.dropout(self.down(x), training=training)
