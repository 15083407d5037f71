"""Embedding of the last label."""

import keras
import tensorflow as tf

from int4_conformer.layers.steppable import State
from int4_conformer.models.predictors.predictor import Predictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class LookupPredictor(Predictor):
    """Looks up the last label, and has no state (arXiv 2003.07705: a stateless prediction network).

    output = layer_norm(swish(W x + b)) for the embedding x of the last label

    Example:

        >>> config = PredictorConfig(kind="lookup", embedding_dim=64)
        >>> predictor = LookupPredictor(config, 32, 64, quant="w4a8")
        >>> predictor(tf.constant([[3, 1, 4]])).shape
        TensorShape([1, 4, 64])
    """

    def initial_state(self, batch: int) -> State:
        return {}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        return self._output(self._embed(x)), state
