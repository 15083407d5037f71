"""LSTM over the labels."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.projected_lstm import ProjectedLSTM
from int4_conformer.layers.steppable import State, joined, named, of_part
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.models.predictors.predictor import Predictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class LSTMPredictor(Predictor):
    """LSTM layers with projections and layer norm (arXiv 1811.06621, section 2.2: 2 layers of 2048
    units with 640 projections).

    What is normalised is a layer's projected output on its way to the next layer, not what comes
    back to the layer itself: the loop over labels then holds nothing but the recurrence, and each
    row that is quantized for the next matmul has the same spread.

    State: `layer_i/output` and `layer_i/carry`, see `ProjectedLSTM`.

    Example:

        >>> config = PredictorConfig(kind="lstm", embedding_dim=64, units=128, projection=64)
        >>> predictor = LSTMPredictor(config, 32, 64, quant="w8a8")
        >>> predictor(tf.constant([[3, 1, 4]])).shape
        TensorShape([1, 4, 64])
    """

    def __init__(self, config: PredictorConfig, vocab_size: int, output_dim: int, **kwargs: Any):
        super().__init__(config, vocab_size, output_dim, **kwargs)
        self.layers = [
            ProjectedLSTM(config.units, config.projection, quant=self.recipe.at(name), name=name)
            for name in (f"layer_{i}" for i in range(config.layers))
        ]
        self.layer_norms = [LayerNorm(name=f"{layer.name}_norm") for layer in self.layers]

    def _build_network(self) -> None:
        width = self.config.embedding_dim
        for layer, norm in zip(self.layers, self.layer_norms, strict=True):
            layer.build((None, None, width))
            width = self.config.projection
            norm.build((None, None, width))

    @property
    def _network_dim(self) -> int:
        return self.config.projection

    def initial_state(self, batch: int) -> State:
        state = {}
        for layer in self.layers:
            state |= named(layer.name, layer.initial_state(batch))
        return state

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        x, after = self._embed(x), {}
        for layer, norm in zip(self.layers, self.layer_norms, strict=True):
            name = layer.name
            x, after[name] = layer.advance(x, padding_mask, of_part(state, name), training)
            x = norm(x)
        return self._output(x), joined(**after)
