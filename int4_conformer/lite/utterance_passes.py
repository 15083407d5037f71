"""One utterance, heard segment by segment through the passes of a file."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.lite.file_network import Run
from int4_conformer.lite.stream_search import StreamSearch
from int4_conformer.lite.words import Word, WordAssembler, read_tokens
from int4_conformer.search.time_synchronous import Token
from int4_conformer.text.vocabulary import Vocabulary


class UtterancePasses:
    """Hears an utterance, and says what its words are so far.

    Args:
      first: the first pass.
      second: the second; None if there is none.
      vocabulary: what the tokens mean.
      block_samples: an utterance is padded with silence to a multiple of so many, as
        `Recognizer.transcribe` pads it.
      frame_seconds: from one encoder frame to the next.
      search: searches the last pass; None for the greedy search within the file.
    """

    def __init__(
        self,
        first: "Pass",
        second: "Pass | None",
        vocabulary: Vocabulary,
        block_samples: int,
        frame_seconds: float,
        search: StreamSearch | None = None,
    ) -> None:
        self._first = first
        self._second = second
        self._vocabulary = vocabulary
        self._block_samples = block_samples
        self._frame_seconds = frame_seconds
        self._search = search
        self.restart()

    def restart(self) -> None:
        """Begins the next utterance."""
        # Samples so far.
        self.heard = 0
        self._final = WordAssembler(self._vocabulary, self._frame_seconds)
        # Frames and tokens of each segment that the second pass has not seen.
        self._pending: list[tuple[int, list[Token]]] = []
        for part in (self._first, self._second, self._search):
            if part is not None:
                part.restart()

    @property
    def is_finished(self) -> bool:
        """Whether the utterance has ended."""
        return self._first.is_finished

    def hear(self, pcm: np.ndarray) -> None:
        """Hears what follows, float32 [samples]."""
        self.heard += len(pcm)
        for outputs in self._first.run(pcm, last=False):
            self._take(outputs)

    def finish(self) -> None:
        """Ends the utterance; all words are final then."""
        silence = np.zeros([-self.heard % self._block_samples], np.float32)
        for outputs in self._first.run(silence, last=True):
            self._take(outputs)
        if self._second is not None:
            self._correct(np.zeros_like(outputs[interface.ENCODED][0, :0]), last=True)
        if self._search is not None:
            self._final.add(self._search.finish())

    def final_words(self) -> tuple[Word, ...]:
        """The words that stay, with their times from the start of the utterance."""
        return self._final.words_with()

    def words(self) -> tuple[Word, ...]:
        """All words so far."""
        return self._final.words_with(self._following())

    def final_text(self) -> str:
        """What stays as it is."""
        return self._final.text()

    def text(self) -> str:
        """All words so far."""
        return self._final.text(self._following())

    def _take(self, outputs: dict[str, np.ndarray]) -> None:
        """Takes the outputs of the first pass of a segment."""
        length = int(outputs[interface.LENGTH][0])
        if self._second is None:
            self._final.add(self._found(outputs, length))
        else:
            self._pending.append((length, read_tokens(outputs)))
            self._correct(outputs[interface.ENCODED][0, :length], last=False)

    def _correct(self, encoded: np.ndarray, last: bool) -> None:
        """Gives the second pass frames of the first, whose words give way to its own."""
        for outputs in self._second.run(encoded, last):
            self._final.add(self._found(outputs, self._second.length))
            frames = self._second.segment
            while self._pending and frames > 0:
                length, _ = self._pending.pop(0)
                frames -= length

    def _found(self, outputs: dict[str, np.ndarray], length: int) -> list[Token]:
        """Tokens of the last pass that are final after a segment of so many frames."""
        if self._search is None:
            return read_tokens(outputs)
        return self._search.hear(outputs[interface.ENCODED][0, :length])

    def _following(self) -> list[Token]:
        """Tokens that are not final."""
        waiting = [] if self._search is None else self._search.waiting
        return waiting + [token for _, tokens in self._pending for token in tokens]


class Pass:
    """A signature of the file, and its state between segments, which begins as zeros.

    Args:
      run: the signature.
      inputs: type and shape `[1, ...]` of each input by name: `given`, `length`, and the state.
      given: name of the input that is heard, `[1, segment, ...]`.
    """

    def __init__(self, run: Run, inputs: dict[str, dict[str, Any]], given: str) -> None:
        self._run = run
        self._given = given
        self._start = {name: np.zeros(x["shape"], x["dtype"]) for name, x in inputs.items()}
        self._nothing = self._start.pop(given)[0]
        self.segment = len(self._nothing)
        self._nothing = self._nothing[:0]
        del self._start[interface.LENGTH]
        self.restart()

    def restart(self) -> None:
        """Begins the next utterance."""
        self._waiting = self._nothing
        self._state = self._start
        # Of the last segment, what was real.
        self.length = 0
        self.is_finished = False

    def run(self, values: np.ndarray, last: bool) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of each segment that has become whole, and of the rest if it is the last."""
        self._waiting = np.concatenate([self._waiting, values])
        while len(self._waiting) >= self.segment:
            yield self._step(self._waiting[: self.segment])
            self._waiting = self._waiting[self.segment :]
        if last:
            # Also without a rest: a stream ends with a segment, if one of padding alone.
            self.is_finished = True
            yield self._step(self._waiting)

    def _step(self, values: np.ndarray) -> dict[str, np.ndarray]:
        self.length = len(values)
        missing = self.segment - len(values)
        padded = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
        outputs = self._run(
            **{self._given: padded[None], interface.LENGTH: np.array([len(values)], np.int32)},
            **self._state,
        )
        self._state = {name: outputs[name] for name in self._state}
        return outputs
