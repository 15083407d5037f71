"""Speech to text while it is spoken."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.audio.samples import as_array
from int4_conformer.errors import UserError
from int4_conformer.lite.words import Token, Word, WordAssembler, read_tokens
from int4_conformer.text.vocabulary import Vocabulary

# A signature: inputs by name -> outputs by name.
Run = Callable[..., dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartialResult:
    """The words of an utterance so far."""

    # What stays as it is.
    final: str
    # All words: what follows the final ones is the first pass's, which the second may correct.
    text: str
    # The final words with their times, from the start of the stream, and their confidence. The last
    # one may have been heard in part: then its text still grows.
    final_words: tuple[Word, ...] = ()


class RecognizerStream:
    """One utterance that is heard segment by segment; `Recognizer.stream` makes it.

    Args:
      first: the first pass.
      second: the second; None if there is none.
      vocabulary: what the tokens mean.
      block_samples: the utterance is padded with silence to a multiple of so many, as
        `Recognizer.transcribe` pads it.
      frame_seconds: from one encoder frame to the next.
      to_pcm: makes float32 `[samples]` at the model's rate of what `feed` is given, and of what is
        left at the end.
    """

    def __init__(
        self,
        first: "Pass",
        second: "Pass | None",
        vocabulary: Vocabulary,
        block_samples: int,
        frame_seconds: float,
        to_pcm: Callable[[np.ndarray, bool], np.ndarray],
    ) -> None:
        self._first = first
        self._second = second
        self._block_samples = block_samples
        self._to_pcm = to_pcm
        self._samples = 0
        self._final = WordAssembler(vocabulary, frame_seconds)
        # Frames and tokens of each segment that the second pass has not seen.
        self._pending: list[tuple[int, list[Token]]] = []
        self._ended = False

    def feed(self, samples: np.ndarray) -> PartialResult:
        """Hears what follows, and returns the words so far.

        Args:
          samples: as many as there are, also none, as `Recognizer.transcribe` takes them.

        Raises:
          UserError: the utterance has ended, or as `Recognizer.transcribe`.
        """
        if self._ended:
            raise UserError("The utterance has ended; begin a new stream for the next one.")
        if as_array(samples).size:
            self._hear(self._to_pcm(samples, False), last=False)
        return self._result()

    def finish(self) -> PartialResult:
        """Ends the utterance, and returns its words, all of them final."""
        if not self._ended:
            self._hear(self._to_pcm(np.zeros([0], np.float32), True), last=True)
            self._ended = True
        return self._result()

    def _hear(self, pcm: np.ndarray, last: bool) -> None:
        self._samples += len(pcm)
        if last:
            pcm = np.pad(pcm, (0, -self._samples % self._block_samples))
        for outputs in self._first.run(pcm, last):
            length = int(outputs[interface.LENGTH][0])
            tokens = read_tokens(outputs)
            if self._second is None:
                self._final.add(tokens)
            else:
                self._pending.append((length, tokens))
                self._correct(outputs[interface.ENCODED][0, :length], last=False)
        if last and self._second is not None:
            self._correct(np.zeros_like(outputs[interface.ENCODED][0, :0]), last=True)

    def _correct(self, encoded: np.ndarray, last: bool) -> None:
        """Gives the second pass frames of the first, whose words give way to its own."""
        for outputs in self._second.run(encoded, last):
            self._final.add(read_tokens(outputs))
            frames = self._second.segment
            while self._pending and frames > 0:
                length, _ = self._pending.pop(0)
                frames -= length

    def _result(self) -> PartialResult:
        pending = [token for _, tokens in self._pending for token in tokens]
        return PartialResult(
            final=self._final.text(),
            text=self._final.text(pending),
            final_words=self._final.words,
        )


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
        zeros = {name: np.zeros(x["shape"], x["dtype"]) for name, x in inputs.items()}
        self._waiting = zeros.pop(given)[0]
        self.segment = len(self._waiting)
        self._waiting = self._waiting[:0]
        del zeros[interface.LENGTH]
        self._state = zeros

    def run(self, values: np.ndarray, last: bool) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of each segment that has become whole, and of the rest if it is the last."""
        self._waiting = np.concatenate([self._waiting, values])
        while len(self._waiting) >= self.segment:
            yield self._step(self._waiting[: self.segment])
            self._waiting = self._waiting[self.segment :]
        if last:
            # Also without a rest: a stream ends with a segment, if one of padding alone.
            yield self._step(self._waiting)

    def _step(self, values: np.ndarray) -> dict[str, np.ndarray]:
        missing = self.segment - len(values)
        padded = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
        outputs = self._run(
            **{self._given: padded[None], interface.LENGTH: np.array([len(values)], np.int32)},
            **self._state,
        )
        self._state = {name: outputs[name] for name in self._state}
        return outputs
