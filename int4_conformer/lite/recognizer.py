"""Speech to text with an exported `.tflite` file, without TensorFlow."""

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from int4_conformer import interface
from int4_conformer.audio.samples import as_array, require_rate
from int4_conformer.errors import UserError, require_at_least, require_in
from int4_conformer.lite import long_audio
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.file_searches import FileSearches
from int4_conformer.lite.file_signatures import FileSignatures
from int4_conformer.lite.listening import Listener, results
from int4_conformer.lite.model_input import mono, resampled, stream_resampler
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.lite.recognizer_stream import PartialResult, RecognizerStream
from int4_conformer.lite.speech_activity import may_hold_speech
from int4_conformer.lite.stream_search import StreamSearch
from int4_conformer.lite.whole_utterances import WholeUtterances
from int4_conformer.lite.words import Recognition, read_tokens, timed_words
from int4_conformer.pretrained.registry import pretrained_model
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.table_scorers import NGramScorer
from int4_conformer.search.time_synchronous import Hypothesis, TimeSynchronousSearch, Token
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
      part_seconds: a recording that is longer than `longest_seconds` is cut into parts of at most
        so many. A model that was trained on short utterances hears short parts better. None: one
        that hears streams hears it as a stream, for others parts have 20 s.

    Raises:
      UserError: the file is missing, damaged or no recogniser, or a number is out of its range.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        num_threads: int = 1,
        *,
        gated: bool = True,
        part_seconds: float | None = None,
    ) -> None:
        require_at_least(1, num_threads=num_threads)
        if part_seconds is not None:
            least, most = long_audio.PART_RANGE
            require_in(f"[{least:g}, {most:g}]", part_seconds=part_seconds)
        self._part_seconds = part_seconds
        self._file = FileSignatures(RecognizerFile(path, num_threads))
        self._metadata = self._file.metadata
        self._gated = gated
        self._recognize = self._file.run(interface.SERVING_DEFAULT)
        has_networks = interface.JOIN in self._file.names
        self._search = FileSearches(self._metadata, self._file.network if has_networks else None)

    @classmethod
    def from_preset(cls, name: str, **settings: Any) -> "Recognizer":
        """That of a model in `int4-conformer models`; `settings` are those of the class.

        Raises:
          UserError: there is no such model.
        """
        return cls(pretrained_model(name).file, **settings)

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
        return interface.FIRST_PASS in self._file.names

    @property
    def longest_seconds(self) -> float:
        """Seconds that one call of the model hears; longer audio is heard as a stream or in
        parts."""
        return self._file.longest / self.sample_rate

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
        """The words of an utterance, or of a recording of any length.

        What is longer than `longest_seconds` is heard as `recognize_long` hears it.

        Args:
          samples: `[samples]` or `[samples, channels]`, which are averaged, but for channels that
            cancel each other: then the loudest is heard. Float32 in [-1, 1], or int16.
          sample_rate: their rate in Hz.
          phrases, only, bonus, beam, lm: see the class.

        Raises:
          UserError: the samples have another type or shape, are none, are not finite or far
            outside of [-1, 1], or the rate is not positive; a phrase cannot be read or spelled; the
            file is of before it had other searches than the greedy one; or what is asked is of one
            utterance, and this is longer.
        """
        search = self._search(phrases, only, bonus, beam, lm)
        if self._is_long(samples, sample_rate):
            return self._long(self._blocks(samples, sample_rate), search).text
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
        """The words, with their times and confidence; arguments as `transcribe`.

        Raises:
          UserError: as `transcribe`, or the file is of before tokens had frames.
        """
        frame_seconds = self._file.frame_seconds()
        search = self._search(phrases, only, bonus, beam, lm)
        if self._is_long(samples, sample_rate):
            return self._long(self._blocks(samples, sample_rate), search)
        duration = len(samples) / sample_rate
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

    def recognize_long(
        self,
        audio: Iterable[np.ndarray],
        sample_rate: int = 16000,
        *,
        on_heard: Callable[[float], None] = lambda seconds: None,
        **search: Any,
    ) -> Recognition:
        """The words of a recording that comes bit by bit; only they are kept in memory.

        A model that hears streams hears it as one, and says what a single call would say. For one
        that hears whole utterances only, or with `part_seconds`, it is cut into parts,
        `Recognition.cuts`. What is no longer than `longest_seconds` is heard by `recognize`.

        Args:
          audio: samples as `stream` takes them, such as blocks of a file.
          sample_rate: in Hz.
          on_heard: is told now and then how many seconds have been heard.
          search: see the class. A closed list and `n_best` are for one utterance, and refused for
            more.

        Raises:
          UserError: as `recognize`.
        """
        found = self._search(**search)
        pcm = resampled(audio, sample_rate, self.sample_rate)
        head = np.zeros([0], np.float32)
        for samples in pcm:
            head = np.append(head, samples)
            if len(head) > self._file.longest:
                return self._long(itertools.chain([head], pcm), found, on_heard)
        return self.recognize(head, self.sample_rate, **search)

    def tokens(self, samples: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
        """The output ids of one utterance of at most `longest_seconds`, int32 `[tokens]`, by greedy
        search; arguments as `transcribe`. Silence and noise are heard, too."""
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
          phrases, only, bonus, beam, lm: see the class. Of two passes the second heeds them. With
            `only`, words are final at the end of an utterance.

        Raises:
          UserError: the model hears whole utterances only, a phrase cannot be read or spelled, or
            the file is too old for what is asked.
        """
        search = self._search(phrases, only, bonus, beam, lm)
        has_second = interface.SECOND_PASS in self._file.names
        if has_second and not second_pass and search is not None:
            raise UserError(
                "Phrases, language models and beams are for the second pass; leave "
                "second_pass=False out."
            )
        return RecognizerStream(
            self._file.passes(
                search and StreamSearch(search, commits=not only), second_pass=second_pass
            ),
            stream_resampler(sample_rate, self.sample_rate),
            sample_rate=self.sample_rate,
            block_samples=self._metadata.block_samples,
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

        Args:
          audio: samples as they come, such as those of a microphone.
          sample_rate: in Hz.
          endpointing: when an utterance ends; the defaults if not given.
          search: see the class.

        Returns:
          what is known after each part of the audio; a result with an `endpoint` is the last of its
          utterance, as is the very last one.

        Raises:
          UserError: as `listener`.
        """
        return results(self.listener(sample_rate, endpointing=endpointing, **search), audio)

    def listener(
        self,
        sample_rate: int = 16000,
        *,
        second_pass: bool = True,
        endpointing: EndpointConfig | None = None,
        **search: Any,
    ) -> Listener:
        """What `listen` feeds: a stream, or, for a model that hears whole utterances only, what
        gives it those that silence parts, whose words come at their ends. Arguments as `stream`.

        Raises:
          UserError: a phrase cannot be read or spelled, or the file is too old for what is asked.
        """
        endpointing = endpointing or EndpointConfig()
        if self.hears_streams:
            return self.stream(sample_rate, second_pass, endpointing=endpointing, **search)
        # A mistake is not to wait for the end of the first utterance.
        self._file.frame_seconds()
        self._search(**search)
        return WholeUtterances(
            lambda pcm: self.recognize(pcm, self.sample_rate, **search),
            stream_resampler(sample_rate, self.sample_rate),
            self.sample_rate,
            endpointing,
            gated=self._gated,
            most_seconds=self.longest_seconds,
        )

    def _is_long(self, samples: np.ndarray, sample_rate: int) -> bool:
        """Whether one call cannot hear them; what is no audio, it refuses."""
        require_rate(sample_rate)
        return as_array(samples).shape[:1] > (self.longest_seconds * sample_rate,)

    def _blocks(self, samples: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
        """Samples that are too many for one call, some seconds at a time, at the model's rate."""
        pcm, step = mono(samples), math.ceil(sample_rate)
        blocks = (pcm[start : start + step] for start in range(0, len(pcm), step))
        return resampled(blocks, sample_rate, self.sample_rate)

    def _long(
        self,
        audio: Iterable[np.ndarray],
        search: TimeSynchronousSearch | None,
        on_heard: Callable[[float], None] = lambda seconds: None,
    ) -> Recognition:
        """The words of audio at the model's rate that is too long for one call."""
        self._file.frame_seconds()
        if search is not None:
            long_audio.require_one_utterance(search, self.longest_seconds)
        if self.hears_streams and self._part_seconds is None:
            return long_audio.hear_segments(
                audio,
                self._file.passes(search and StreamSearch(search)),
                self.sample_rate,
                gated=self._gated,
                on_heard=on_heard,
            )
        seconds = self._part_seconds or long_audio.PART_SECONDS
        return long_audio.hear_parts(
            audio,
            lambda pcm: self._part_tokens(search, pcm),
            self.vocabulary,
            sample_rate=self.sample_rate,
            frame_samples=self._metadata.frame_samples,
            longest=min(int(seconds * self.sample_rate), self._file.longest),
            on_heard=on_heard,
        )

    def _part_tokens(self, search: TimeSynchronousSearch | None, pcm: np.ndarray) -> list[Token]:
        """The tokens of a part of long audio, float32 [samples] at the model's rate."""
        if search is not None:
            found = self._hypotheses(search, pcm, self.sample_rate)
            return list(found[0].tokens) if found else []
        outputs = self._outputs(pcm, self.sample_rate)
        return [] if outputs is None else read_tokens(outputs)

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

    def _whole(self, samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
        """The inputs of a signature that hears a whole utterance, padded with silence."""
        require_rate(sample_rate)
        pcm = mono(samples)
        if sample_rate != self.sample_rate:
            # Training resamples with this very function; its libraries load only when needed.
            from int4_conformer.audio.audio_files import resample

            pcm = resample(pcm, sample_rate, self.sample_rate)
        return self._file.whole(pcm)

    def _is_heard(self, inputs: dict[str, np.ndarray]) -> bool:
        """Whether an utterance may hold words."""
        if not self._gated:
            return True
        pcm = inputs[interface.PCM]
        if interface.LENGTH in inputs:
            pcm = pcm[: inputs[interface.LENGTH][0]]
        return may_hold_speech(pcm, self.sample_rate)
