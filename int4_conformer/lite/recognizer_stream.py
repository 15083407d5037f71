"""Speech to text while it is spoken."""

import dataclasses
from collections.abc import Callable

import numpy as np

from int4_conformer.audio.samples import as_array
from int4_conformer.errors import UserError
from int4_conformer.lite.endpointing import Endpoint, EndpointConfig
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech
from int4_conformer.lite.utterance_passes import UtterancePasses
from int4_conformer.lite.words import Word, later

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
      passes: hear its utterances.
      to_pcm: makes float32 `[samples]` at the model's rate of what `feed` is given, and of what is
        left at the end.
      sample_rate: of the model, in Hz.
      block_samples: audio that is left out is left out in multiples of so many, so that frames are
        where they would be.
      endpointing: when utterances end; None: the stream is one utterance.
      gated: whether what is silence or steady noise before an utterance is left out.
    """

    def __init__(
        self,
        passes: UtterancePasses,
        to_pcm: Callable[[np.ndarray, bool], np.ndarray],
        *,
        sample_rate: int = 16000,
        block_samples: int = 1,
        endpointing: EndpointConfig | None = None,
        gated: bool = False,
    ) -> None:
        self._passes = passes
        self._to_pcm = to_pcm
        self._sample_rate = sample_rate
        self._block_samples = block_samples
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
        self._passes.restart()

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
        if result.endpoint is not None or self._passes.is_finished:
            return result
        if self._kept is not None:
            kept = self._kept
            # Too short for a noise floor, it may be a word nevertheless.
            speech = len(kept) == self._samples and may_hold_speech(kept, self._sample_rate)
            self._kept = None
            if speech:
                self._passes.hear(kept)
        if self._passes.heard:
            self._passes.finish()
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
                self._passes.hear(pcm)
                self._endpoint = self._rule()
            else:
                self._keep(pcm)
            if self._endpoint is not None:
                self._passes.finish()
                break
        return self._result()

    def _keep(self, pcm: np.ndarray) -> None:
        """Hears audio in which no speech was noticed before."""
        kept = np.concatenate([self._kept, pcm])
        active = self._activity.last_active
        if active is not None and active * self._sample_rate > self._begun:
            self._kept = None
            self._passes.hear(kept)
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

    def _words(self) -> tuple[Word, ...]:
        """All words so far, with their times from the start of the stream."""
        return self._later(self._passes.words())

    def _later(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        begun = self._begun / self._sample_rate
        return tuple(later(word, begun) for word in words)

    def _result(self) -> PartialResult:
        return PartialResult(
            final=self._passes.final_text(),
            text=self._passes.text(),
            final_words=self._later(self._passes.final_words()),
            words=self._words(),
            endpoint=self._endpoint,
        )
