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
import numpy as np
import tensorflow as tf

from int4_conformer.layers.dense import QuantDense
from int4_conformer.layers.dropout import Dropout
from int4_conformer.quant.ops import sizes
from int4_conformer.quant.recipe import Recipe


class RelativePositions(keras.layers.Layer):
    """Sines and cosines of the frame numbers.

    Args:
        dim: number of frequencies times two; the periods go from 2 pi to 20000 pi frames.

    Call: float [batch, time, ...] -> (sin, cos), each [time, dim / 2].
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.frequencies = (10000.0 ** (-np.arange(dim // 2) / (dim // 2))).astype(np.float32)

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if x.shape[1] is not None:
            frames = tf.range(x.shape[1], dtype=tf.float32)
        else:
            # A running count in place of a range: LiteRT then knows every shape once the input
            # is sized, and can hand the whole graph to XNNPACK.
            frames = tf.cumsum(tf.zeros_like(x[0, :, 0]) + 1.0, exclusive=True)
        angles = frames[:, None] * self.frequencies
        return tf.sin(angles), tf.cos(angles)


class RelativeAttention(keras.layers.Layer):
    """Layer norm and multi-head self-attention over all frames, with relative positions.

    Args:
        dim: width of input and output, a multiple of 2 * heads.
        heads: number of heads.
        dropout: rate at the end.
        recipe: quantization recipe at this layer's path.

    Call: x float [batch, time, dim], positions of `RelativePositions(dim / heads)`, padding_mask
        [batch, time] (True: a real frame) or None -> [batch, time, dim], without the residual.
    """

    def __init__(self, dim: int, heads: int, dropout: float, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        self.head_dim = dim // heads
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        for name in ("query", "position", "key", "value", "output"):
            # A bias on the key shifts all scores of a query alike, which softmax ignores.
            layer = QuantDense(dim, use_bias=name != "key", quant=recipe.at(name), name=name)
            setattr(self, f"{name}_dense", layer)
        self.dropout = Dropout(dropout)

    def call(
        self,
        x: tf.Tensor,
        positions: tuple[tf.Tensor, tf.Tensor],
        padding_mask: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        x = self.norm(x)
        query, key, value = (
            self._split_heads(dense(x))
            for dense in (self.query_dense, self.key_dense, self.value_dense)
        )
        rotated = self._rotate(self._split_heads(self.position_dense(x)), positions)
        sin, cos = positions
        scores = tf.matmul(query, key, transpose_b=True)
        scores += tf.matmul(rotated, tf.concat([cos, sin], axis=-1), transpose_b=True)
        scores *= self.head_dim**-0.5
        if padding_mask is not None:
            scores += tf.where(padding_mask, 0.0, -1e9)[:, None, None, :]
        context = tf.matmul(tf.nn.softmax(scores), value)
        context = tf.transpose(context, [0, 2, 1, 3])
        context = tf.reshape(context, [*sizes(x)[:2], self.heads * self.head_dim])
        return self.dropout(self.output_dense(context), training=training)

    def _split_heads(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, dim] -> [batch, heads, time, head_dim]."""
        x = tf.reshape(x, [*sizes(x)[:2], self.heads, self.head_dim])
        return tf.transpose(x, [0, 2, 1, 3])

    def _rotate(self, u: tf.Tensor, positions: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Turns sine and cosine halves [batch, heads, time, head_dim] by their own position."""
        (sin, cos), (s, c) = positions, tf.split(u, 2, axis=-1)
        return tf.concat([s * sin + c * cos, c * sin - s * cos], axis=-1)
