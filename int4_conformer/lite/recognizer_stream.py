"""Speech to text while it is spoken."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.audio.samples import as_array
from int4_conformer.errors import UserError
from int4_conformer.lite.endpointing import Endpoint, EndpointConfig
from int4_conformer.lite.file_network import Run
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech
from int4_conformer.lite.stream_search import StreamSearch
from int4_conformer.lite.words import Word, WordAssembler, later, read_tokens
from int4_conformer.search.time_synchronous import Token
from int4_conformer.text.vocabulary import Vocabulary

# Audio that is kept of before speech was noticed.
KEPT_SECONDS = 1.0
# Audio after which the rules of endpoints are looked at.
STEP_SECONDS = 0.1


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
    # All words of `text`, likewise.
    words: tuple[Word, ...] = ()
    # The rule by which the utterance has ended; all its words are final then, and what is fed next
    # begins another one. None: it goes on.
    endpoint: Endpoint | None = None


class RecognizerStream:
    """Audio that is heard segment by segment; `Recognizer.stream` makes it.

    Args:
      first: the first pass.
      second: the second; None if there is none.
      vocabulary: what the tokens mean.
      block_samples: an utterance is padded with silence to a multiple of so many, as
        `Recognizer.transcribe` pads it.
      frame_seconds: from one encoder frame to the next.
      to_pcm: makes float32 `[samples]` at the model's rate of what `feed` is given, and of what is
        left at the end.
      sample_rate: of the model, in Hz.
      search: searches the last pass; None for the greedy search within the file.
      endpointing: when utterances end; None: the stream is one utterance.
      gated: whether what is silence or steady noise before an utterance is left out.
    """

    def __init__(
        self,
        first: "Pass",
        second: "Pass | None",
        vocabulary: Vocabulary,
        block_samples: int,
        frame_seconds: float,
        to_pcm: Callable[[np.ndarray, bool], np.ndarray],
        *,
        sample_rate: int = 16000,
        search: StreamSearch | None = None,
        endpointing: EndpointConfig | None = None,
        gated: bool = False,
    ) -> None:
        self._first = first
        self._second = second
        self._vocabulary = vocabulary
        self._block_samples = block_samples
        self._frame_seconds = frame_seconds
        self._to_pcm = to_pcm
        self._sample_rate = sample_rate
        self._search = search
        self._endpointing = endpointing
        self._gated = gated
        self._activity = SpeechActivity(sample_rate)
        # Audio that waits behind an endpoint, and samples before it.
        self._waiting = np.zeros([0], np.float32)
        self._samples = 0
        self._ended = False
        self._endpoint: Endpoint | None = None
        self._begin()

    def _begin(self) -> None:
        """Begins an utterance with what is heard next."""
        self._endpoint = None
        # Audio of before there was something to hear; None once there was.
        self._kept: np.ndarray | None = np.zeros([0], np.float32) if self._gated else None
        self._begun = self._samples
        self._heard = 0
        self._final = WordAssembler(self._vocabulary, self._frame_seconds)
        # Frames and tokens of each segment that the second pass has not seen.
        self._pending: list[tuple[int, list[Token]]] = []
        for part in (self._first, self._second, self._search):
            if part is not None:
                part.restart()

    def feed(self, samples: np.ndarray) -> PartialResult:
        """Hears what follows, and returns the words so far.

        At an endpoint it stops: what is left of the samples is heard in the next call, which may
        give none.

        Args:
          samples: as many as there are, also none, as `Recognizer.transcribe` takes them.

        Raises:
          UserError: the stream has ended, or as `Recognizer.transcribe`.
        """
        if self._ended:
            raise UserError("The utterance has ended; begin a new stream for the next one.")
        if as_array(samples).size:
            self._wait(self._to_pcm(samples, False))
        return self._go_on()

    def finish(self) -> PartialResult:
        """Ends the stream, and returns the words of its last utterance, all of them final.

        At an endpoint before the end it stops: the next call goes on.
        """
        if not self._ended:
            self._wait(self._to_pcm(np.zeros([0], np.float32), True))
            self._ended = True
        result = self._go_on()
        if result.endpoint is not None or self._first.is_finished:
            return result
        if self._kept is not None:
            kept = self._kept
            # Too short for a noise floor, it may be a word nevertheless.
            speech = len(kept) == self._samples and may_hold_speech(kept, self._sample_rate)
            self._kept = None
            if speech:
                self._hear(kept, last=False)
        if self._heard:
            self._hear(np.zeros([0], np.float32), last=True)
        return self._result()

    def _wait(self, pcm: np.ndarray) -> None:
        self._waiting = np.concatenate([self._waiting, pcm])

    def _go_on(self) -> PartialResult:
        """Hears what waits, up to an endpoint."""
        if self._endpoint is not None:
            self._begin()
        step = int(STEP_SECONDS * self._sample_rate)
        if self._endpointing is None and not self._gated:
            step = max(len(self._waiting), 1)
        while len(self._waiting):
            pcm, self._waiting = np.split(self._waiting, [step])
            self._samples += len(pcm)
            if self._endpointing is not None or self._gated:
                self._activity.hear(pcm)
            if self._kept is None:
                self._hear(pcm, last=False)
                self._endpoint = self._rule()
            else:
                self._keep(pcm)
            if self._endpoint is not None:
                self._hear(np.zeros([0], np.float32), last=True)
                break
        return self._result()

    def _keep(self, pcm: np.ndarray) -> None:
        """Hears audio in which no speech was noticed before."""
        kept = np.concatenate([self._kept, pcm])
        active = self._activity.last_active
        if active is not None and active * self._sample_rate > self._begun:
            self._kept = None
            self._hear(kept, last=False)
            return
        most = int(KEPT_SECONDS * self._sample_rate)
        # In whole blocks, so that frames are where they would be if all were heard.
        dropped = max(len(kept) - most, 0) // self._block_samples * self._block_samples
        self._begun += dropped
        self._kept = kept[dropped:]

    def _rule(self) -> Endpoint | None:
        """Whether the utterance has ended."""
        if self._endpointing is None:
            return None
        now = self._samples / self._sample_rate
        begun = self._begun / self._sample_rate
        words = self._words()
        active = self._activity.last_active
        return self._endpointing.endpoint(
            length=now - begun,
            since_word=now - words[-1].end if words else None,
            since_active=now - max(begun, active or 0.0),
        )

    def _hear(self, pcm: np.ndarray, last: bool) -> None:
        self._heard += len(pcm)
        if last:
            pcm = np.pad(pcm, (0, -self._heard % self._block_samples))
        for outputs in self._first.run(pcm, last):
            length = int(outputs[interface.LENGTH][0])
            if self._second is None:
                self._final.add(self._found(outputs, length))
            else:
                self._pending.append((length, read_tokens(outputs)))
                self._correct(outputs[interface.ENCODED][0, :length], last=False)
        if last and self._second is not None:
            self._correct(np.zeros_like(outputs[interface.ENCODED][0, :0]), last=True)
        if last and self._search is not None:
            self._final.add(self._search.finish())

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

    def _words(self) -> tuple[Word, ...]:
        """All words so far, with their times from the start of the stream."""
        begun = self._begun / self._sample_rate
        words = self._final.words_with(self._following())
        return tuple(later(word, begun) for word in words)

    def _result(self) -> PartialResult:
        begun = self._begun / self._sample_rate
        return PartialResult(
            final=self._final.text(),
            text=self._final.text(self._following()),
            final_words=tuple(later(word, begun) for word in self._final.words_with()),
            words=self._words(),
            endpoint=self._endpoint,
        )


class Pass:
    """A signature of the file, and its state between segments, which begins as zeros.

    Args:
      run: the signature.
      inputs: type and shape `[1, ...]` of each input by name: `given`, `length`, and the state.
      given: name of the input that is heard, `[1, segment, ...]`.
    """

    def __init__(self, run: Run, inputs: Mapping[str, Mapping[str, Any]], given: str) -> None:
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
