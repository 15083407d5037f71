"""Prediction network: averaged multi-head embeddings of the last labels, no recurrent state."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.dense import QuantDense
from int4_conformer.layers.embedding import QuantEmbedding
from int4_conformer.models.config import PredictorConfig
from int4_conformer.quant.recipe import Recipe


class AveragedEmbeddingPredictor(keras.layers.Layer):
    """FIG. 3 and Equation 1 of US20230298569A1 (arXiv 2109.07513, section 3.1).

    With the embeddings x_n of the N previous labels and position vectors p_{h,n} of H heads:

        average = 1 / (H N) sum_{h,n} x_n <x_n, p_{h,n}>
        output = layer_norm(swish(W average + b))

    Before the first label the history is blanks, whose embedding counts as zero: in a tied model
    row 0 of the table is then the blank's own output vector and shared with no look-up.

    Args:
        config: N, H and the embedding's width.
        vocab_size: rows of the embedding, the blank included.
        output_dim: width of the output.
        recipe: quantization recipe at this layer's path.
    """

    def __init__(
        self,
        config: PredictorConfig,
        vocab_size: int,
        output_dim: int,
        recipe: Recipe,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.embedding = QuantEmbedding(
            vocab_size,
            config.embedding_dim,
            keras.initializers.RandomNormal(stddev=config.embedding_dim**-0.5),
            quant=recipe.at("embedding"),
            name="embedding",
        )
        self.projection = QuantDense(
            output_dim, "silu", quant=recipe.at("projection"), name="projection"
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.position_vectors = self.add_weight(
            shape=(self.config.heads, self.config.context, self.config.embedding_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="position_vectors",
        )

    def call(self, labels: tf.Tensor) -> tf.Tensor:
        """Outputs for every prefix of the labels.

        Args:
            labels: int [batch, labels], padded with any ids.

        Returns:
            float [batch, labels + 1, output_dim]; position u has seen `labels[:u]`.
        """
        context = self.config.context
        labels = tf.pad(labels, [[0, 0], [context, 0]])
        embeddings = self._embed(labels)
        count = labels.shape[1] - context + 1
        return self._average([embeddings[:, n : n + count] for n in range(context)])

    def step(self, history: tf.Tensor) -> tf.Tensor:
        """Output for one history.

        Args:
            history: int [batch, N], the last labels, oldest first; 0 before the first.

        Returns:
            float [batch, output_dim].
        """
        embeddings = self._embed(history)
        return self._average([embeddings[:, n] for n in range(self.config.context)])

    def _embed(self, labels: tf.Tensor) -> tf.Tensor:
        is_label = tf.cast(tf.not_equal(labels, 0), tf.float32)
        return self.embedding(labels) * is_label[..., None]

    def _average(self, embeddings: list[tf.Tensor]) -> tf.Tensor:
        """Equation 1 and the projection; the list holds x_1 .. x_N, each [..., embedding_dim]."""
        # sum_h <x, p_h> = <x, sum_h p_h>: both means are taken of the vectors, where they are
        # constants once the model is exported.
        vectors = tf.reduce_mean(tf.convert_to_tensor(self.position_vectors), axis=0)
        vectors /= len(embeddings)
        average = tf.add_n(
            [
                x * tf.reduce_sum(x * vectors[n], axis=-1, keepdims=True)
                for n, x in enumerate(embeddings)
            ]
        )
        return self.norm(self.projection(average))
