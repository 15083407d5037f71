"""The Conformer's convolution module."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.branch_kernel import branch_initializer
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.steppable import State, Steppable, follow
from int4_conformer.quant.products.convolutions import depthwise_valid
from int4_conformer.quant.spec.recipe import Quant, as_recipe
from int4_conformer.shapes import sizes


@keras.saving.register_keras_serializable(package="int4_conformer")
class ConvolutionModule(Steppable, keras.layers.Layer):
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
        branch_scale: factor of the first values of its last kernel (`layers.branch_kernel`).
        quant: how its dense layers are quantized (`as_recipe`), by the names `up` and `down`.

    Call: float [batch, time, dim], padding_mask bool [batch, time] (False: padding) or None ->
        [batch, time, dim], without the residual. With a chunk above 1, the time is whole chunks.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = inputs + ConvolutionModule(64, kernel_size=15, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        *,
        chunk: int | None = None,
        dropout: float = 0.0,
        branch_scale: float = 1.0,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.kernel_size = kernel_size
        self.chunk = chunk
        self.branch_scale = branch_scale
        self.recipe = as_recipe(quant)
        # Frames under the kernel before the one it is for. An even kernel looks ahead once more
        # than back.
        self.before = kernel_size - 1 if chunk == 1 else (kernel_size - 1) // 2
        self.norm = LayerNorm(name="norm")
        self.up = QuantDense(2 * dim, quant=self.recipe.at("up"), name="up")
        self.depthwise_norm = LayerNorm(name="depthwise_norm")
        self.down = QuantDense(
            dim,
            kernel_initializer=branch_initializer(branch_scale),
            quant=self.recipe.at("down"),
            name="down",
        )
        self.dropout = Dropout(dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        limit = (3.0 / self.kernel_size) ** 0.5
        self.depthwise_kernel = self.add_weight(
            shape=(self.kernel_size, self.dim),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="depthwise_kernel",
        )
        for layer in (self.norm, self.up, self.depthwise_norm, self.down):
            layer.build(input_shape)

    @property
    def segment_multiple(self) -> int:
        return self.chunk or 1

    def initial_state(self, batch: int) -> State:
        """`frames` float [batch, before, dim]: what the depthwise kernel sees before the
        segment."""
        return {"frames": tf.zeros([batch, self.before, self.dim])}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        x = self._gated(x, padding_mask)
        if state is None:
            return self._convolved(x, 0, training), None
        x, past = follow(state["frames"], x, self.before)
        return self._convolved(x, self.before, training), {"frames": past}

    def _gated(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        value, gate = tf.split(self.up(self.norm(x)), 2, axis=-1)
        x = value * tf.sigmoid(gate)
        # Frames past the end must look like the zeros that pad the last utterance frame.
        return x if mask is None else x * tf.cast(mask, x.dtype)[:, :, None]

    def _convolved(self, x: tf.Tensor, given: int, training: bool) -> tf.Tensor:
        """From [batch, given + time, dim] on."""
        x = depthwise_conv(
            x, self.depthwise_kernel, before=self.before, given=given, chunk=self.chunk
        )
        x = tf.nn.silu(self.depthwise_norm(x))
        return self.dropout(self.down(x), training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "kernel_size": self.kernel_size,
            "chunk": self.chunk,
            "dropout": self.dropout.rate,
            "branch_scale": self.branch_scale,
            "quant": self.recipe.to_config(),
        }


def depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, *, before: int, given: int = 0, chunk: int | None = None
) -> tf.Tensor:
    """Convolves each channel with its own kernel.

    Args:
        x: float [batch, given + time, channels]; the first frames are only looked back to.
        kernel: float [taps, channels].
        before: frames that the kernel looks back; at the others it looks ahead, with zeros beyond
            the end.
        given: how many frames there are to look back to; 0, with zeros in their place, or all.
        chunk: frames after which the kernel sees zeros, too; None if there is no such end. The time
            is whole chunks.

    Returns:
        float [batch, time, channels].
    """
    ahead = kernel.shape[0] - 1 - before
    kernel = tf.convert_to_tensor(kernel)[:, :, None]
    missing = before - given
    if not ahead or chunk is None:
        if missing or ahead:
            x = tf.pad(x, [[0, 0], [missing, ahead], [0, 0]])
        return depthwise_valid(x, kernel)
    # A row for each chunk: the frames before it, itself, and zeros.
    batch, time, channels = sizes(x[:, given:])
    history = -(-before // chunk)
    x = tf.pad(x, [[0, 0], [history * chunk - given, 0], [0, 0]])
    count = time if isinstance(time, int) and time < 0 else time // chunk + history
    chunks = tf.reshape(x, [batch, count, chunk, channels])
    rows = [chunks[:, j : j - history or None] for j in range(history + 1)]
    rows = tf.concat(rows, axis=2)[:, :, history * chunk - before :]
    rows = tf.pad(rows, [[0, 0], [0, 0], [0, ahead], [0, 0]])
    y = depthwise_valid(tf.reshape(rows, [-1, before + chunk + ahead, channels]), kernel)
    return tf.reshape(y, [batch, time, channels])
