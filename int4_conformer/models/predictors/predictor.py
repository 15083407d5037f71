"""What all prediction networks share."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.composite import Composite
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_embedding import QuantEmbedding
from int4_conformer.layers.steppable import State
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.quant.spec.recipe import Recipe


class Predictor(Composite, keras.layers.Layer):
    """From labels to what the joint network adds to its frames.

    It begins with an embedding, which the joint network may share, and ends in a projection with
    swish and layer norm; a kind of network is what stands between. Searches feed it one label at a
    time: `step` over 0 and then the labels, from `initial_state`, gives the positions of a call.

    The blank, 0, stands for the start, and its embedding counts as zero: in a tied model row 0 of
    the table is then the blank's own output vector and shared with no look-up.

    Args:
        config: sizes.
        vocab_size: rows of the embedding, the blank included.
        output_dim: width of the output.
        recipe: quantization recipe at this layer's path.

    Call: labels int [batch, labels], padded with any ids -> float [batch, labels + 1, output_dim];
        position u has seen `labels[:u]`.
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

    def initial_state(self, batch: int) -> State:
        """The state before any label: zeros."""
        raise NotImplementedError

    def step(self, label: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Takes the next label.

        Args:
            label: int32 [batch]; 0 in the first step.
            state: after the labels before.

        Returns:
            float [batch, output_dim], and the state after this label.
        """
        raise NotImplementedError

    def _embed(self, labels: tf.Tensor) -> tf.Tensor:
        """int [...] -> float [..., embedding_dim]."""
        rows = self.embedding(labels)
        return rows * tf.cast(tf.not_equal(labels, 0), rows.dtype)[..., None]

    def _output(self, x: tf.Tensor) -> tf.Tensor:
        """float [..., dim] -> [..., output_dim]."""
        return self.norm(self.projection(x))
