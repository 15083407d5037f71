"""LSTM over the labels."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.projected_lstm import ProjectedLSTM
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.models.predictors.predictor import Predictor
from int4_conformer.quant.spec.recipe import Recipe


class LSTMPredictor(Predictor):
    """LSTM layers with projections and layer norm (arXiv 1811.06621, section 2.2: 2 layers of 2048
    units with 640 projections).

    What is normalised is a layer's projected output on its way to the next layer, not what comes
    back to the layer itself: the loop over labels then holds nothing but the recurrence, and each
    row that is quantized for the next matmul has the same spread.

    State: `layer_i/output` and `layer_i/carry`, see `ProjectedLSTM`.
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
        self.layers = [
            ProjectedLSTM(config.units, config.projection, quant=recipe.at(name), name=name)
            for name in (f"layer_{i}" for i in range(config.layers))
        ]
        self.layer_norms = [
            keras.layers.LayerNormalization(epsilon=1e-5, name=f"{layer.name}_norm")
            for layer in self.layers
        ]

    def call(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self._embed(tf.pad(labels, [[0, 0], [1, 0]]))
        for layer, norm in zip(self.layers, self.layer_norms, strict=True):
            x = norm(layer(x, training=training))
        return self._output(x)

    def initial_state(self, batch: int) -> State:
        state = {}
        for layer in self.layers:
            state |= named(layer.name, layer.initial_state(batch))
        return state

    def step(self, label: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        x, following = self._embed(label), {}
        for layer, norm in zip(self.layers, self.layer_norms, strict=True):
            x, layer_state = layer.step(x, of_part(state, layer.name))
            following |= named(layer.name, layer_state)
            x = norm(x)
        return self._output(x), following
