"""Hearing audio as it comes, utterance by utterance."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from int4_conformer.lite.recognizer_stream import PartialResult


class Listener(Protocol):
    """Hears audio bit by bit: `RecognizerStream`, `WholeUtterances`."""

    def feed(self, samples: np.ndarray) -> PartialResult:
        """Hears what follows, up to the end of an utterance."""

    def finish(self) -> PartialResult:
        """Ends the last utterance; before that, those that still wait, one a call."""


def results(listener: Listener, audio: Iterable[np.ndarray]) -> Iterator[PartialResult]:
    """What is known after each part of the audio.

    A result with an `endpoint` is the last of its utterance, as is the very last one.
    """
    for samples in audio:
        yield (result := listener.feed(samples))
        while result.endpoint is not None:
            yield (result := listener.feed(samples[:0]))
    yield (result := listener.finish())
    while result.endpoint is not None:
        yield (result := listener.finish())
