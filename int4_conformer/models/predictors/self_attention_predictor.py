"""Transformer or Conformer over the labels."""

from typing import Any

import tensorflow as tf

from int4_conformer.layers.steppable import State
from int4_conformer.models.encoder import Encoder
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.models.predictors.predictor import Predictor
from int4_conformer.quant.spec.recipe import Recipe


class SelfAttentionPredictor(Predictor):
    """An encoder whose frames are labels, each seeing itself and a few before it (arXiv
    2002.02562, section 3.1: the label encoder).

    State: that of the encoder.
    """

    def __init__(
        self,
        config: PredictorConfig,
        vocab_size: int,
        output_dim: int,
        recipe: Recipe,
        **kwargs: Any,
    ):
        super().__init__(config, vocab_size, output_dim, recipe, **kwargs)
        self.encoder = Encoder(
            config.encoder, 1, config.embedding_dim, recipe.at("encoder"), name="encoder"
        )

    def call(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self._embed(tf.pad(labels, [[0, 0], [1, 0]]))
        return self._output(self.encoder(x, training=training))

    def initial_state(self, batch: int) -> State:
        return self.encoder.initial_state(batch)

    def step(self, label: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        frame = label[:, None]
        x, state = self.encoder.step(self._embed(frame), tf.ones_like(frame, tf.bool), state)
        return self._output(x[:, 0]), state
