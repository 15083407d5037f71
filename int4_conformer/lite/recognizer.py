"""Speech to text with an exported `.tflite` file, without TensorFlow."""

import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.audio.samples import require_rate
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.file_network import FileNetwork
from int4_conformer.lite.listening import results
from int4_conformer.lite.model_input import mono, stream_resampler
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.lite.recognizer_stream import PartialResult, Pass, RecognizerStream
from int4_conformer.lite.speech_activity import may_hold_speech
from int4_conformer.lite.stream_search import StreamSearch
from int4_conformer.lite.whole_utterances import WholeUtterances
from int4_conformer.lite.words import Recognition, read_tokens, timed_words
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.scorer import Bias
from int4_conformer.search.table_scorers import NGramScorer, PhraseScorer
from int4_conformer.search.time_synchronous import Hypothesis, TimeSynchronousSearch
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite.metadata import Metadata


class Recognizer:
    """Recognises speech with a file that `int4-conformer export` wrote.

    The file's checksum and structure are verified first. Threads may share a recogniser: their
    calls take turns. To recognise in parallel, give each thread its own.

    What may be said beside the words themselves, of `transcribe`, `recognize` and `stream`:

      phrases: words to prefer, such as names; with `only`, all that may be said, in the notation
        of `search.grammar`.
      only: whether nothing but the phrases may be said.
      bonus: added for each token of a preferred phrase, in nats.
      beam: how wide to search; the defaults of `BeamConfig` if there are phrases or a language
        model, else greedily.
      lm: language model over the same tokens, `NGramScorer.read(path, recognizer.vocabulary)`.

    Args:
      path: the `.tflite` file.
      num_threads: CPU threads that one call may use.
      gated: whether silence and steady noise have no words, whatever the model makes of them.

    Raises:
      UserError: the file is missing, damaged or no recogniser, or `num_threads` is not positive.
    """

    def __init__(
        self, path: str | os.PathLike, num_threads: int = 1, *, gated: bool = True
    ) -> None:
        require_at_least(1, num_threads=num_threads)
        self._file = RecognizerFile(path, num_threads)
        self._metadata = self._file.metadata
        self._gated = gated
        self._signatures = self._file.signatures
        self._recognize = self._file.run(interface.SERVING_DEFAULT)
        # Automata of long lists take a while to make.
        self._bias = functools.lru_cache(8)(self._new_bias)

    @property
    def metadata(self) -> Metadata:
        """What the file says about the model."""
        return self._metadata

    @property
    def sample_rate(self) -> int:
        """Rate of the model's input in Hz; other rates are resampled to it."""
        return self._metadata.sample_rate

    @property
    def hears_streams(self) -> bool:
        """Whether the model hears speech while it is spoken; else whole utterances only."""
        return interface.FIRST_PASS in self._signatures

    @property
    def vocabulary(self) -> Vocabulary:
        """What the tokens mean."""
        return self._metadata.vocabulary

    def transcribe(
        self,
        samples: np.ndarray,
        sample_rate: int = 16000,
        *,
        phrases: Sequence[str] = (),
        only: bool = False,
        bonus: float = BIAS_SCORE,
        beam: BeamConfig | None = None,
        lm: NGramScorer | None = None,
    ) -> str:
        """The words of one utterance.

        Args:
          samples: `[samples]` or `[samples, channels]`, which are averaged, but for channels that
            cancel each other: then the loudest is heard. Float32 in [-1, 1], or int16.
          sample_rate: their rate in Hz.
          phrases: see the class, as for all that follow.
          only: whether nothing but the phrases may be said.
          bonus: for each token of a preferred phrase.
          beam: how wide to search.
          lm: a language model.

        Raises:
          UserError: the samples have another type or shape, are none, are not finite or far
            outside of [-1, 1], or the rate is not positive; a phrase cannot be read or spelled; the
            file is of before it had other searches than the greedy one, or takes no utterance of
            that length.
        """
        search = self._search(phrases, only, bonus, beam, lm)
        if search is None:
            return self.vocabulary.detokenize(self._greedy_tokens(samples, sample_rate).tolist())
        found = self._hypotheses(search, samples, sample_rate)
        return self.vocabulary.detokenize(token.id for token in found[0].tokens) if found else ""

    def recognize(
        self,
        samples: np.ndarray,
        sample_rate: int = 16000,
        *,
        phrases: Sequence[str] = (),
        only: bool = False,
        bonus: float = BIAS_SCORE,
        beam: BeamConfig | None = None,
        lm: NGramScorer | None = None,
    ) -> Recognition:
        """The words of one utterance, with their times and confidence; arguments as `transcribe`.

        Raises:
          UserError: as `transcribe`, or the file is of before tokens had frames.
        """
        frame_seconds = self._frame_seconds()
        duration = len(samples) / sample_rate
        search = self._search(phrases, only, bonus, beam, lm)
        if search is None:
            outputs = self._outputs(samples, sample_rate)
            tokens = [] if outputs is None else read_tokens(outputs)
            words = timed_words(self.vocabulary, tokens, frame_seconds, duration)
            return Recognition(text=" ".join(word.text for word in words), words=words)
        grammar = search.bias.grammar if isinstance(search.bias, ClosedList) else None
        found = []
        for hypothesis in self._hypotheses(search, samples, sample_rate):
            words = timed_words(self.vocabulary, hypothesis.tokens, frame_seconds, duration)
            text = " ".join(word.text for word in words)
            match = None if grammar is None else grammar.match(text)
            found.append(Recognition(text=text, words=words, score=hypothesis.score, match=match))
        if not found:
            return Recognition(text="", words=())
        best, *others = found
        return dataclasses.replace(best, alternatives=tuple(others))

    def tokens(self, samples: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
        """The output ids of one utterance, int32 `[tokens]`, by greedy search; arguments as
        `transcribe`. Silence and noise are heard, too."""
        return self._tokens(self._recognize(**self._whole(samples, sample_rate)))

    def stream(
        self,
        sample_rate: int = 16000,
        second_pass: bool = True,
        *,
        endpointing: EndpointConfig | None = None,
        phrases: Sequence[str] = (),
        only: bool = False,
        bonus: float = BIAS_SCORE,
        beam: BeamConfig | None = None,
        lm: NGramScorer | None = None,
    ) -> RecognizerStream:
        """Recognises speech while it is spoken.

        Args:
          sample_rate: of the samples that the stream will be fed, in Hz.
          second_pass: whether the second of two passes runs, too. Without it words come as soon
            and cost less, and none is corrected.
          endpointing: when an utterance ends and the next one begins; None: all is one.
          phrases: see the class, as for all that follow. Of two passes the second heeds them.
          only: whether nothing but the phrases may be said; then words are final at the end of an
            utterance.
          bonus: for each token of a preferred phrase.
          beam: how wide to search.
          lm: a language model.

        Raises:
          UserError: the model hears whole utterances only, a phrase cannot be read or spelled, or
            the file is too old for what is asked.
        """
        frame_seconds = self._frame_seconds()
        if not self.hears_streams:
            raise UserError(
                "This model hears whole utterances only; train one whose encoder has a chunk and a "
                "left context, such as the preset streaming_s."
            )
        first, second = self._pass(interface.FIRST_PASS, interface.PCM), None
        search = self._search(phrases, only, bonus, beam, lm)
        if interface.SECOND_PASS in self._signatures:
            if second_pass:
                second = self._pass(interface.SECOND_PASS, interface.ENCODED)
            elif search is not None:
                raise UserError(
                    "Phrases, language models and beams are for the second pass; leave "
                    "second_pass=False out."
                )
        return RecognizerStream(
            first,
            second,
            self.vocabulary,
            self._metadata.block_samples,
            frame_seconds,
            stream_resampler(sample_rate, self.sample_rate),
            sample_rate=self.sample_rate,
            search=search and StreamSearch(search, commits=not only),
            endpointing=endpointing,
            gated=self._gated,
        )

    def listen(
        self,
        audio: Iterable[np.ndarray],
        sample_rate: int = 16000,
        *,
        endpointing: EndpointConfig | None = None,
        **search: Any,
    ) -> Iterator[PartialResult]:
        """The words of what is said, utterance by utterance, while it is spoken.

        A model that hears whole utterances only gets those that silence parts: their words come at
        their ends.

        Args:
          audio: samples as they come, such as those of a microphone.
          sample_rate: in Hz.
          endpointing: when an utterance ends; the defaults if not given.
          search: see the class.

        Returns:
          what is known after each part of the audio; a result with an `endpoint` is the last of its
          utterance, as is the very last one.

        Raises:
          UserError: a phrase cannot be read or spelled, or the file is too old for what is asked.
        """
        endpointing = endpointing or EndpointConfig()
        if self.hears_streams:
            return results(self.stream(sample_rate, endpointing=endpointing, **search), audio)
        # A mistake is not to wait for the end of the first utterance.
        self._frame_seconds()
        self._search(**search)
        fixed = self._metadata.fixed_samples
        listener = WholeUtterances(
            lambda pcm: self.recognize(pcm, self.sample_rate, **search),
            stream_resampler(sample_rate, self.sample_rate),
            self.sample_rate,
            endpointing,
            gated=self._gated,
            most_seconds=math.inf if fixed is None else fixed / self.sample_rate,
        )
        return results(listener, audio)

    def _greedy_tokens(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        outputs = self._outputs(samples, sample_rate)
        return np.zeros([0], np.int32) if outputs is None else self._tokens(outputs)

    @staticmethod
    def _tokens(outputs: dict[str, np.ndarray]) -> np.ndarray:
        return outputs[interface.TOKENS][: outputs[interface.COUNT]]

    def _outputs(self, samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray] | None:
        """Those of greedy search; None where there is nothing to hear."""
        inputs = self._whole(samples, sample_rate)
        return self._recognize(**inputs) if self._is_heard(inputs) else None

    def _hypotheses(
        self, search: TimeSynchronousSearch, samples: np.ndarray, sample_rate: int
    ) -> list[Hypothesis]:
        inputs = self._whole(samples, sample_rate)
        if not self._is_heard(inputs):
            return []
        outputs = self._file.run(interface.ENCODE)(**inputs)
        encoded = outputs[interface.ENCODED]
        if interface.LENGTH in outputs:
            encoded = encoded[: int(outputs[interface.LENGTH][0])]
        return search.finish(search.advance(encoded, search.start()))

    def _search(
        self,
        phrases: Sequence[str] = (),
        only: bool = False,
        bonus: float = BIAS_SCORE,
        beam: BeamConfig | None = None,
        lm: NGramScorer | None = None,
    ) -> TimeSynchronousSearch | None:
        """What searches with a beam; None for the greedy search."""
        if isinstance(phrases, str):
            raise UserError(
                f"`phrases` must be a list of phrases. Received the string {phrases!r}."
            )
        if only and not phrases:
            raise UserError("With only=True nothing can be said without phrases; give some.")
        if not phrases and beam is None and lm is None:
            return None
        beam = beam or BeamConfig()
        if beam.full_sum:
            raise UserError("A file does not hold what full_sum needs; leave it out.")
        if self._metadata.spelling is None or interface.JOIN not in self._signatures:
            raise UserError(
                "This file was exported before it had other searches than the greedy one; export "
                "the model again."
            )
        return TimeSynchronousSearch(
            network=self._network,
            max_symbols_per_frame=self._metadata.max_symbols_per_frame,
            config=beam,
            bias=self._bias(tuple(phrases), only, bonus) if phrases else None,
            lm=lm,
        )

    def _new_bias(self, phrases: tuple[str, ...], only: bool, bonus: float) -> Bias:
        spelling: Spelling = self._metadata.spelling
        if only:
            return ClosedList(phrases, spelling)
        return PhraseScorer.of(phrases, spelling, bonus)

    @functools.cached_property
    def _network(self) -> FileNetwork:
        return FileNetwork(
            self._file.run(interface.PREDICT),
            self._file.run(interface.JOIN),
            self._file.inputs(interface.PREDICT),
        )

    def _frame_seconds(self) -> float:
        if self._metadata.frame_samples is None:
            raise UserError(
                "This file was exported before words had times; export the model again."
            )
        return self._metadata.frame_samples / self.sample_rate

    def _pass(self, name: str, given: str) -> Pass:
        return Pass(self._file.run(name), self._file.inputs(name), given)

    def _whole(self, samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
        """The inputs of a signature that hears a whole utterance, padded with silence."""
        require_rate(sample_rate)
        pcm = mono(samples)
        if sample_rate != self.sample_rate:
            # Training resamples with this very function; its libraries load only when needed.
            from int4_conformer.audio.audio_files import resample

            pcm = resample(pcm, sample_rate, self.sample_rate)
        fixed = self._metadata.fixed_samples
        if fixed is None:
            missing = -pcm.size % self._metadata.block_samples
            return {interface.PCM: np.pad(pcm, (0, missing))}
        if pcm.size > fixed:
            raise UserError(
                f"This file hears whole utterances of {fixed / self.sample_rate:g} s at most; "
                "export one with more --fixed_seconds, or without. Received: "
                f"{pcm.size / self.sample_rate:.2f} s"
            )
        return {
            interface.PCM: np.pad(pcm, (0, fixed - pcm.size)),
            interface.LENGTH: np.array([pcm.size], np.int32),
        }

    def _is_heard(self, inputs: dict[str, np.ndarray]) -> bool:
        """Whether an utterance may hold words."""
        if not self._gated:
            return True
        pcm = inputs[interface.PCM]
        if interface.LENGTH in inputs:
            pcm = pcm[: inputs[interface.LENGTH][0]]
        return may_hold_speech(pcm, self.sample_rate)
