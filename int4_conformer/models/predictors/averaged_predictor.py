"""Averaged multi-head embeddings of the last labels."""

import keras
import tensorflow as tf

from int4_conformer.layers.steppable import State, follow
from int4_conformer.models.predictors.predictor import Predictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class AveragedEmbeddingPredictor(Predictor):
    """FIG. 3 and Equation 1 of US20230298569A1 (arXiv 2109.07513, section 3.1).

    With the embeddings x_n of the N previous labels and position vectors p_{h,n} of H heads:

        average = 1 / (H N) sum_{h,n} x_n <x_n, p_{h,n}>
        output = layer_norm(swish(W average + b))

    The single-head form sums and does not average: sum_n x_n <x_n, p_n>.

    State: `history` int32 [batch, N], the last labels, oldest first.

    Example:

        >>> config = PredictorConfig(kind="averaged", embedding_dim=64)
        >>> predictor = AveragedEmbeddingPredictor(config, 32, 64, quant="w4a8")
        >>> predictor(tf.constant([[3, 1, 4]])).shape
        TensorShape([1, 4, 64])
    """

    def _build_network(self) -> None:
        self.position_vectors = self.add_weight(
            shape=(self.config.heads, self.config.context, self.config.embedding_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=self.config.train_positions,
            name="position_vectors",
        )

    def initial_state(self, batch: int) -> State:
        return {"history": tf.zeros([batch, self.config.context], tf.int32)}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        context, count = self.config.context, x.shape[1]
        both, history = follow(state and state["history"], x, context)
        # The last of the labels before counts, and the oldest of them no longer.
        embeddings = self._embed(both[:, 1:])
        output = self._average([embeddings[:, n : n + count] for n in range(context)])
        return output, None if state is None else {"history": history}

    def _average(self, embeddings: list[tf.Tensor]) -> tf.Tensor:
        """Equation 1 and the projection; the list holds x_1 .. x_N, each [..., embedding_dim]."""
        # sum_h <x, p_h> = <x, sum_h p_h>: both means are taken of the vectors, where they are
        # constants once the model is exported.
        vectors = tf.convert_to_tensor(self.position_vectors)
        if self.config.heads == 1:
            vectors = vectors[0]
        else:
            vectors = tf.reduce_mean(vectors, axis=0) / self.config.context
        vectors = tf.cast(vectors, embeddings[0].dtype)
        average = tf.add_n(
            [
                x * tf.reduce_sum(x * vectors[n], axis=-1, keepdims=True)
                for n, x in enumerate(embeddings)
            ]
        )
        return self._output(average)
