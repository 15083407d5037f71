"""Self-attention with relative positions that needs no relative shift.

Transformer-XL (arXiv 1901.02860, section 3.3) scores a query at frame i against a key at frame j by

    q_i k_j + (q_i + v) W R(i - j)

with R(d) the sines and cosines of w_n d. Here the second query comes from a projection of its own,
u_i = U x_i + b; Transformer-XL is the case U = W' W_q, and both have the same number of weights.
Writing u_i as sine and cosine halves (s_n, c_n), the addition theorems give

    u_i R(i - j) = sum_n (s_n sin w_n i + c_n cos w_n i) cos w_n j
                       + (c_n sin w_n i - s_n cos w_n i) sin w_n j

so the position term is u_i rotated by its own position, times a fixed table of key positions: one
plain matmul, nothing of size 2 time - 1 to project and shift, and only differences of positions
matter, so that any frame may be called zero.
"""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.branch_kernel import branch_initializer
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.frames import Frames, Positions, SeesFrames, Span
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.steppable import State, follow
from int4_conformer.quant.spec.recipe import Quant, as_recipe
from int4_conformer.shapes import sizes

_DENSE_NAMES = ("query", "position", "key", "value", "output")


@keras.saving.register_keras_serializable(package="int4_conformer")
class RelativeAttention(SeesFrames, keras.layers.Layer):
    """Layer norm and multi-head self-attention with relative positions.

    Args:
        dim: width of input and output, a multiple of 2 * heads.
        heads: number of heads.
        chunk: frames that see each other (`layers.frames`); None: all.
        left_context: frames before its chunk that a frame sees; None: all.
        dropout: rate at the end.
        branch_scale: factor of the first values of its last kernel (`layers.branch_kernel`).
        quant: how its dense layers are quantized (`as_recipe`), by the names `query`, `position`,
            `key`, `value` and `output`.

    Call: x float [batch, time, dim], padding_mask bool [batch, time] (False: padding) or None ->
        [batch, time, dim], without the residual.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = inputs + RelativeAttention(64, heads=4, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        chunk: int | None = None,
        left_context: int | None = None,
        dropout: float = 0.0,
        branch_scale: float = 1.0,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.heads = heads
        self.head_dim = dim // heads
        self.branch_scale = branch_scale
        self.span = Span(dim=self.head_dim, chunk=chunk, left_context=left_context)
        self.recipe = as_recipe(quant)
        self.norm = LayerNorm(name="norm")
        for name in _DENSE_NAMES:
            # A bias on the key shifts all scores of a query alike, which softmax ignores.
            layer = QuantDense(
                dim,
                use_bias=name != "key",
                kernel_initializer=branch_initializer(branch_scale if name == "output" else 1.0),
                quant=self.recipe.at(name),
                name=name,
            )
            setattr(self, f"{name}_dense", layer)
        self.dropout = Dropout(dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for layer in (self.norm, *(getattr(self, f"{name}_dense") for name in _DENSE_NAMES)):
            layer.build(input_shape)

    def initial_memory(self, batch: int) -> State:
        """`key` and `value` float [batch, left_context, dim] of the frames before the segment."""
        shape = [batch, self.span.left_context, self.dim]
        return {name: tf.zeros(shape) for name in ("key", "value")}

    def advance_frames(
        self, x: tf.Tensor, frames: Frames, memory: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        x = self.norm(x)
        keys, values = self.key_dense(x), self.value_dense(x)
        if memory is not None:
            count = self.span.left_context
            keys, past_keys = follow(memory["key"], keys, count)
            values, past_values = follow(memory["value"], values, count)
            memory = {"key": past_keys, "value": past_values}
        return self._attend(x, keys, values, frames, training), memory

    def _attend(
        self, x: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, frames: Frames, training: bool
    ) -> tf.Tensor:
        query, key, value = map(self._split_heads, (self.query_dense(x), keys, values))
        sin, cos = (tf.cast(position, x.dtype) for position in frames.positions)
        own = sin, cos
        if x.shape[1] is not None:
            # The frames of a segment are the last of those that may be seen.
            own = sin[sin.shape[0] - x.shape[1] :], cos[cos.shape[0] - x.shape[1] :]
        # The queries are scaled, which are fewer than the scores.
        scale = self.head_dim**-0.5
        rotated = self._rotate(
            self._split_heads(self.position_dense(x)), tuple(scale * part for part in own)
        )
        scores = tf.matmul(scale * query, key, transpose_b=True)
        scores += tf.matmul(rotated, tf.concat([cos, sin], axis=-1), transpose_b=True)
        # In float32 under every dtype policy: it has the sum over all frames.
        scores = tf.cast(scores, tf.float32)
        if frames.bias is not None:
            scores += frames.bias
        context = tf.matmul(tf.cast(tf.nn.softmax(scores), value.dtype), value)
        context = tf.transpose(context, [0, 2, 1, 3])
        context = tf.reshape(context, [*sizes(x)[:2], self.heads * self.head_dim])
        return self.dropout(self.output_dense(context), training=training)

    def _split_heads(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, dim] -> [batch, heads, time, head_dim]."""
        x = tf.reshape(x, [*sizes(x)[:2], self.heads, self.head_dim])
        return tf.transpose(x, [0, 2, 1, 3])

    def _rotate(self, u: tf.Tensor, positions: Positions) -> tf.Tensor:
        """Turns sine and cosine halves [batch, heads, time, head_dim] by their own position."""
        (sin, cos), (s, c) = positions, tf.split(u, 2, axis=-1)
        return tf.concat([s * sin + c * cos, c * sin - s * cos], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "heads": self.heads,
            "chunk": self.span.chunk,
            "left_context": self.span.left_context,
            "dropout": self.dropout.rate,
            "branch_scale": self.branch_scale,
            "quant": self.recipe.to_config(),
        }
