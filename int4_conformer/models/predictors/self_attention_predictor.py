"""Transformer or Conformer over the labels."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.steppable import State
from int4_conformer.models.encoder import Encoder
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.models.predictors.predictor import Predictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class SelfAttentionPredictor(Predictor):
    """An encoder whose frames are labels, each seeing itself and a few before it (arXiv
    2002.02562, section 3.1: the label encoder).

    State: that of the encoder.

    Example:

        >>> config = PredictorConfig(kind="transformer", embedding_dim=64)
        >>> predictor = SelfAttentionPredictor(config, 32, 64, quant="w4a8")
        >>> predictor(tf.constant([[3, 1, 4]])).shape
        TensorShape([1, 4, 64])
    """

    def __init__(self, config: PredictorConfig, vocab_size: int, output_dim: int, **kwargs: Any):
        super().__init__(config, vocab_size, output_dim, **kwargs)
        self.encoder = Encoder(config.encoder, quant=self.recipe.at("encoder"), name="encoder")

    def _build_network(self) -> None:
        self.encoder.build((None, None, self.config.embedding_dim))

    def initial_state(self, batch: int) -> State:
        return self.encoder.initial_state(batch)

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        x, state = self.encoder.advance(self._embed(x), padding_mask, state, training)
        return self._output(x), state
