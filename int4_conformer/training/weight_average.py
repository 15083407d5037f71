"""A running average of the weights."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class WeightAverage(tf.Module):
    """Exponential moving average of weights, which generalises better than the last weights.

    Quantization takes the average as it takes the weights: it is what is served.

    Args:
        variables: the weights.
        half_life: steps after which a weight counts half; 0 switches averaging off.
    """

    def __init__(self, variables: list[keras.Variable], half_life: int):
        super().__init__()
        self._variables = [variable.value for variable in variables]
        self._keep = 0.5 ** (1 / half_life) if half_life else 0.0
        self._averages = (
            [tf.Variable(variable, trainable=False) for variable in self._variables]
            if half_life
            else []
        )

    def update(self, counts: tf.Tensor) -> None:
        """Moves the average towards the weights; called once a step.

        Args:
            counts: bool []; whether the step does.
        """
        for average, variable in zip(self._averages, self._variables, strict=False):
            moved = self._keep * average + (1.0 - self._keep) * variable
            average.assign(tf.where(counts, moved, average))

    def take_over(self) -> None:
        """Sets the weights to their average, if there is one."""
        for average, variable in zip(self._averages, self._variables, strict=False):
            variable.assign(average)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Lets the weights be their average for a while."""
        if not self._averages:
            yield
            return
        weights = [tf.identity(variable) for variable in self._variables]
        self.take_over()
        try:
            yield
        finally:
            for weight, variable in zip(weights, self._variables, strict=True):
                variable.assign(weight)
