"""The prediction and joint networks of a `.tflite` file, as searches ask them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.search.time_synchronous import Prediction

# A signature: inputs by name -> outputs by name.
Run = Callable[..., dict[str, np.ndarray]]


class FileNetwork:
    """A `search.time_synchronous.Network`.

    Args:
        predict: the signature of that name.
        join: the signature of that name.
        inputs: type and shape of each input of `predict`, by name.
    """

    def __init__(self, predict: Run, join: Run, inputs: Mapping[str, Mapping[str, Any]]):
        self._predict = predict
        self._join = join
        self.rows = int(inputs[interface.LABEL]["shape"][0])
        self._start = {
            name: np.zeros(x["shape"][1:], x["dtype"])
            for name, x in inputs.items()
            if name != interface.LABEL
        }

    def predict(
        self, labels: Sequence[int], before: Sequence[Prediction | None]
    ) -> list[Prediction]:
        """Predictions after one more label each; before the first label, 0, there is None."""
        predictions = []
        for part in self._parts(len(labels)):
            states = [self._start if x is None else x.state for x in before[part]]
            state = {name: self._padded(np.stack([s[name] for s in states])) for name in states[0]}
            given = {interface.LABEL: self._padded(np.array(labels[part], np.int32))}
            outputs = self._predict(**given, **state)
            predictions += [
                Prediction(
                    output=outputs[interface.PREDICTED][row],
                    state={name: outputs[name][row] for name in self._start},
                )
                for row in range(len(states))
            ]
        return predictions

    def logits(self, frames: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """float32 [pairs, dim] and [pairs, dim] -> float32 [pairs, vocab]."""
        parts = []
        for part in self._parts(len(frames)):
            given = {
                interface.ENCODED: self._padded(frames[part]),
                interface.PREDICTED: self._padded(outputs[part]),
            }
            parts.append(self._join(**given)[interface.LOGITS][: len(frames[part])])
        return np.concatenate(parts)

    def _parts(self, count: int) -> Iterator[slice]:
        return (slice(start, start + self.rows) for start in range(0, count, self.rows))

    def _padded(self, values: np.ndarray) -> np.ndarray:
        """With rows of zeros up to the size of a call."""
        # Not by np.pad, which takes as long as the network does.
        padded = np.zeros([self.rows, *values.shape[1:]], values.dtype)
        padded[: len(values)] = values
        return padded
