"""Embedding of the last label."""

import tensorflow as tf

from int4_conformer.layers.steppable import State
from int4_conformer.models.predictors.predictor import Predictor


class LookupPredictor(Predictor):
    """Looks up the last label, and has no state (arXiv 2003.07705: a stateless prediction network).

    output = layer_norm(swish(W x + b)) for the embedding x of the last label
    """

    def call(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._output(self._embed(tf.pad(labels, [[0, 0], [1, 0]])))

    def initial_state(self, batch: int) -> State:
        return {}

    def step(self, label: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return self._output(self._embed(label)), state
