"""Speech to text with an exported `.tflite` file, without TensorFlow."""

import os
import threading
import warnings
from collections.abc import Callable

import numpy as np
from ai_edge_litert import interpreter as litert

from int4_conformer import interface
from int4_conformer.audio.samples import MIX, as_float, require_rate, to_mono
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.lite.recognizer_stream import Pass, RecognizerStream
from int4_conformer.lite.words import Recognition, read_tokens, timed_words
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite import metadata as metadata_lib
from int4_conformer.tflite.metadata import Metadata


class Recognizer:
    """Recognises whole utterances with a file that `int4-conformer export` wrote.

    The file's checksum is verified first. Threads may share a recogniser: their calls take turns.
    To recognise in parallel, give each thread its own.

    Args:
      path: the `.tflite` file.
      num_threads: CPU threads that one call may use.

    Raises:
      UserError: the file is missing, damaged or no recogniser, or `num_threads` is not positive.
    """

    def __init__(self, path: str | os.PathLike, num_threads: int = 1) -> None:
        require_at_least(1, num_threads=num_threads)
        content = flatbuffer.read_file(path)
        self._metadata = metadata_lib.read(content, str(path))
        self._interpreter = litert.Interpreter(
            model_content=content,
            num_threads=num_threads,
            # The built-in kernels quantize activations symmetrically, XNNPACK's asymmetrically:
            # a model has to run on those whose integers it was trained with.
            experimental_op_resolver_type=(
                litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                if self._metadata.delegate == "none"
                else litert.OpResolverType.BUILTIN
            ),
        )
        self._recognize = self._interpreter.get_signature_runner(interface.SERVING_DEFAULT)
        self._lock = threading.Lock()

    @property
    def metadata(self) -> Metadata:
        """What the file says about the model."""
        return self._metadata

    @property
    def sample_rate(self) -> int:
        """Rate of the model's input in Hz; other rates are resampled to it."""
        return self._metadata.sample_rate

    @property
    def vocabulary(self) -> Vocabulary:
        """What the tokens mean."""
        return self._metadata.vocabulary

    def transcribe(self, samples: np.ndarray, sample_rate: int = 16000) -> str:
        """The words of one utterance.

        Args:
          samples: `[samples]` or `[samples, channels]`, which are averaged, but for channels that
            cancel each other: then the loudest is heard. Float32 in [-1, 1], or int16.
          sample_rate: their rate in Hz.

        Raises:
          UserError: the samples have another type or shape, are none, are not finite or far
            outside of [-1, 1], or the rate is not positive.
        """
        return self.vocabulary.detokenize(self.tokens(samples, sample_rate).tolist())

    def recognize(self, samples: np.ndarray, sample_rate: int = 16000) -> Recognition:
        """The words of one utterance, with their times and confidence; arguments as `transcribe`.

        Raises:
          UserError: as `transcribe`, or the file is of before tokens had frames.
        """
        frame_seconds = self._frame_seconds()
        outputs = self._outputs(samples, sample_rate)
        words = timed_words(
            self.vocabulary, read_tokens(outputs), frame_seconds, len(samples) / sample_rate
        )
        return Recognition(text=" ".join(word.text for word in words), words=words)

    def tokens(self, samples: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
        """The output ids of one utterance, int32 `[tokens]`; arguments as `transcribe`."""
        outputs = self._outputs(samples, sample_rate)
        return outputs[interface.TOKENS][: outputs[interface.COUNT]]

    def stream(self, sample_rate: int = 16000, second_pass: bool = True) -> RecognizerStream:
        """Recognises an utterance while it is spoken.

        Args:
          sample_rate: of the samples that the stream will be fed, in Hz.
          second_pass: whether the second of two passes runs, too. Without it words come as soon
            and cost less, and none is corrected.

        Raises:
          UserError: the model hears whole utterances only, or the file is of before tokens had
            frames.
        """
        frame_seconds = self._frame_seconds()
        signatures = self._interpreter.get_signature_list()
        if interface.FIRST_PASS not in signatures:
            raise UserError(
                "This model hears whole utterances only; train one whose encoder has a chunk and a "
                "left context, such as the preset streaming_s."
            )
        first, second = self._pass(interface.FIRST_PASS, interface.PCM), None
        if second_pass and interface.SECOND_PASS in signatures:
            second = self._pass(interface.SECOND_PASS, interface.ENCODED)
        return RecognizerStream(
            first,
            second,
            self.vocabulary,
            self._metadata.block_samples,
            frame_seconds,
            self._resampler(sample_rate),
        )

    def _outputs(self, samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
        pcm = self._pcm(samples, sample_rate)
        with self._lock:
            return self._recognize(**{interface.PCM: pcm})

    def _frame_seconds(self) -> float:
        if self._metadata.frame_samples is None:
            raise UserError(
                "This file was exported before words had times; export the model again."
            )
        return self._metadata.frame_samples / self.sample_rate

    def _pass(self, name: str, given: str) -> Pass:
        runner = self._interpreter.get_signature_runner(name)

        def run(**inputs: np.ndarray) -> dict[str, np.ndarray]:
            with self._lock:
                return runner(**inputs)

        return Pass(run, runner.get_input_details(), given)

    def _resampler(self, sample_rate: int) -> Callable[[np.ndarray, bool], np.ndarray]:
        require_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return lambda samples, last: samples if last else _mono(samples)
        # Its library loads only when needed.
        from int4_conformer.audio.audio_files import StreamResampler

        resampler = StreamResampler(sample_rate, self.sample_rate)
        return lambda samples, last: resampler(samples if last else _mono(samples), last=last)

    def _pcm(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """float32 `[samples]` at the model's rate, padded with silence to whole blocks."""
        require_rate(sample_rate)
        pcm = _mono(samples)
        if sample_rate != self.sample_rate:
            # Training resamples with this very function; its libraries load only when needed.
            from int4_conformer.audio.audio_files import resample

            pcm = resample(pcm, sample_rate, self.sample_rate)
        return np.pad(pcm, (0, -pcm.size % self._metadata.block_samples))


def _mono(samples: np.ndarray) -> np.ndarray:
    """Checked float32 `[samples]` in [-1, 1]."""
    pcm = as_float(samples)
    if pcm.ndim == 2:
        pcm, note = to_mono(pcm, MIX, "`samples`")
        if note is not None:
            warnings.warn(note, stacklevel=2)
    return np.clip(pcm, -1.0, 1.0, dtype=np.float32)
