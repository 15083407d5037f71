"""Utterances that are cut out of what is heard, for models that hear whole ones only."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from int4_conformer.audio.samples import as_array
from int4_conformer.lite.endpointing import Endpoint, EndpointConfig
from int4_conformer.lite.recognizer_stream import KEPT_SECONDS, STEP_SECONDS, PartialResult
from int4_conformer.lite.speech_activity import SpeechActivity
from int4_conformer.lite.words import Recognition, later


class WholeUtterances:
    """Fed like a `RecognizerStream`; words come at the end of each utterance, all at once.

    An utterance begins with what may be speech. It ends as `EndpointConfig` has it, with speech in
    place of words, which are not known before: after so much silence, or at the greatest length.

    Args:
      recognize: float32 `[samples]` at the model's rate -> what was said.
      to_pcm: makes such samples of what `feed` is given, and of what is left at the end.
      sample_rate: of the model, in Hz.
      endpointing: when utterances end.
      gated: whether silence and steady noise before an utterance are left out.
      most_seconds: of an utterance that `recognize` takes.
    """

    def __init__(
        self,
        recognize: Callable[[np.ndarray], Recognition],
        to_pcm: Callable[[np.ndarray, bool], np.ndarray],
        sample_rate: int,
        endpointing: EndpointConfig,
        *,
        gated: bool = True,
        most_seconds: float = math.inf,
    ) -> None:
        self._recognize = recognize
        self._to_pcm = to_pcm
        self._sample_rate = sample_rate
        # The last step may go so far beyond it.
        longest = max(STEP_SECONDS, min(endpointing.longest, most_seconds - STEP_SECONDS))
        self._endpointing = dataclasses.replace(endpointing, longest=longest)
        self._gated = gated
        self._most_kept = int(min(KEPT_SECONDS, longest / 2) * sample_rate)
        self._activity = SpeechActivity(sample_rate)
        self._waiting = np.zeros([0], np.float32)
        self._samples = 0
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        """Begins to look for an utterance in what is heard next."""
        self._begun = self._samples
        self._steps: list[np.ndarray] = []
        self._is_spoken = not self._gated

    def feed(self, samples: np.ndarray) -> PartialResult:
        """Hears what follows; at an endpoint it stops as `RecognizerStream.feed` does."""
        if as_array(samples).size:
            self._waiting = np.append(self._waiting, self._to_pcm(samples, False))
        return self._go_on()

    def finish(self) -> PartialResult:
        """Ends what is heard; at an endpoint before that it stops, and the next call goes on."""
        if not self._ended:
            rest = self._to_pcm(np.zeros([0], np.float32), True)
            self._waiting = np.append(self._waiting, rest)
            self._ended = True
        result = self._go_on()
        # What is too short for a noise floor may be a word nevertheless.
        if result.endpoint is None and self._steps and (self._is_spoken or not self._begun):
            return self._recognized(None)
        return result

    def _go_on(self) -> PartialResult:
        """Hears what waits, up to an endpoint."""
        step = int(STEP_SECONDS * self._sample_rate)
        while len(self._waiting):
            pcm, self._waiting = np.split(self._waiting, [step])
            self._samples += len(pcm)
            self._activity.hear(pcm)
            self._steps.append(pcm)
            active = self._activity.last_active or 0.0
            self._is_spoken |= active * self._sample_rate > self._begun
            if not self._is_spoken:
                self._forget()
            elif (endpoint := self._rule(active)) is not None:
                return self._recognized(endpoint)
        return PartialResult(final="", text="")

    def _forget(self) -> None:
        """Keeps only the last of the audio without speech."""
        while self._samples - self._begun - len(self._steps[0]) > self._most_kept:
            self._begun += len(self._steps.pop(0))

    def _rule(self, active: float) -> Endpoint | None:
        now, begun = self._samples / self._sample_rate, self._begun / self._sample_rate
        silent = now - max(begun, active)
        return self._endpointing.endpoint(
            length=now - begun, since_word=silent, since_active=silent
        )

    def _recognized(self, endpoint: Endpoint | None) -> PartialResult:
        """The words of the utterance, after which another one begins."""
        found = self._recognize(np.concatenate(self._steps))
        words = tuple(later(word, self._begun / self._sample_rate) for word in found.words)
        if not words and endpoint == "after_words":
            endpoint = "without_words"
        self._begin()
        return PartialResult(
            final=found.text, text=found.text, final_words=words, words=words, endpoint=endpoint
        )
