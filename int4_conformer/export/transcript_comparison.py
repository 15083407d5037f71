"""Tokens of a file beside those of the model itself, utterance by utterance."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from int4_conformer import interface
from int4_conformer.export.recognizer_verification import whole_inputs
from int4_conformer.export.signatures import signatures
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.models.transducer import Transducer

# Nats between two symbols that count as equally likely: codes that fall on the other side of a
# border move scores by some thousandths.
TIE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class OtherTokens:
    """An utterance in which file and model disagree."""

    utterance: str
    file: str
    model: str
    # How much likelier, in nats, another symbol is for the model than that of the file, where this
    # is the most.
    margin: float

    @property
    def is_tie(self) -> bool:
        """Whether the model finds the file's tokens as good as its own, at each point."""
        return self.margin <= TIE


class TranscriptComparison:
    """Greedy search of a file, and of the model.

    Args:
        file: the file.
        model: what it was made of, with the recipe that the file has.
    """

    def __init__(self, file: RecognizerFile, model: Transducer):
        self._metadata, self._model = file.metadata, model
        self._run = file.run(interface.SERVING_DEFAULT)
        # Streams have no part in it.
        functions = signatures(model, 1.0, self._metadata.fixed_samples)
        self._function = functions[interface.SERVING_DEFAULT]

    def trace(self) -> None:
        """Makes the model's graph, which takes a while, instead of in the first comparison."""
        self._function.get_concrete_function()

    def __call__(
        self,
        utterances: Iterable[tuple[str, np.ndarray]],
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[OtherTokens]:
        """The utterances, of names and float32 [samples], in which they disagree."""
        found = []
        for done, (name, samples) in enumerate(utterances, 1):
            inputs = whole_inputs(samples, self._metadata)
            outputs = self._run(**inputs)
            expected = self._function(*map(tf.constant, inputs.values()))
            tokens, own = (
                np.array(x[interface.TOKENS][: int(x[interface.COUNT])])
                for x in (outputs, expected)
            )
            if not np.array_equal(tokens, own):
                file, own = map(self._metadata.vocabulary.detokenize, (tokens, own))
                frames = outputs[interface.FRAMES][: len(tokens)]
                margin = self._margin(inputs, tokens, frames)
                found.append(OtherTokens(utterance=name, file=file, model=own, margin=margin))
            on_done(done)
        return found

    def _margin(
        self, inputs: dict[str, np.ndarray], tokens: np.ndarray, frames: np.ndarray
    ) -> float:
        """As `OtherTokens.margin`."""
        model, length = self._model, inputs.get(interface.LENGTH)
        encoded = model.encode(inputs[interface.PCM][None], length)[-1]
        scores = model.decoders[-1].logits(encoded, tokens[None])[0].numpy()
        heard = len(scores) if length is None else int(model.encoded_length(length)[0])
        most, said = 0.0, 0
        for frame in range(heard):
            here = np.flatnonzero(frames == frame)
            symbols = [*tokens[here], 0][: model.config.max_symbols_per_frame]
            for symbol in symbols:
                point = scores[frame, said]
                most = max(most, float(point.max() - point[symbol]))
                said += symbol != 0
        return most
