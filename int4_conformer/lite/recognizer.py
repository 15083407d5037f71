"""Speech to text with an exported `.tflite` file, without TensorFlow."""

import os
import threading

import numpy as np
from ai_edge_litert import interpreter as litert

from int4_conformer.errors import UserError
from int4_conformer.lite import flatbuffer
from int4_conformer.lite import metadata as metadata_lib
from int4_conformer.lite.metadata import Metadata
from int4_conformer.text.vocabulary import Vocabulary

_SIGNATURE = "serving_default"
_MAX_CHANNELS = 8
# Resamplers and float files overshoot 1 by a little; 16-bit samples cast to float by thousands.
_MAX_PEAK = 4.0


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
        if num_threads < 1:
            raise UserError(f"`num_threads` must be at least 1. Received: {num_threads}")
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
        signature = self._interpreter.get_signature_runner(_SIGNATURE)
        self._pcm_index = signature.get_input_details()["pcm"]["index"]
        outputs = signature.get_output_details()
        self._tokens_index = outputs["tokens"]["index"]
        self._count_index = outputs["count"]["index"]
        self._allocated_samples = 0
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
          samples: `[samples]` or `[samples, channels]`, which are averaged; float32 in [-1, 1], or
            int16.
          sample_rate: their rate in Hz.

        Raises:
          UserError: the samples have another type or shape, are none, or are not finite.
        """
        return self.vocabulary.detokenize(self.tokens(samples, sample_rate).tolist())

    def tokens(self, samples: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
        """The output ids of one utterance, int32 `[tokens]`; arguments as `transcribe`."""
        pcm = self._pcm(samples, sample_rate)
        with self._lock:
            if pcm.size != self._allocated_samples:
                self._interpreter.resize_tensor_input(self._pcm_index, pcm.shape)
                self._interpreter.allocate_tensors()
                self._allocated_samples = pcm.size
            self._interpreter.set_tensor(self._pcm_index, pcm)
            self._interpreter.invoke()
            count = int(self._interpreter.get_tensor(self._count_index))
            return self._interpreter.get_tensor(self._tokens_index)[:count]

    def _pcm(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """float32 `[samples]` at the model's rate, padded with silence to whole blocks."""
        pcm = _mono(np.asarray(samples))
        if sample_rate < 1:
            raise UserError(f"`sample_rate` must be positive. Received: {sample_rate}")
        if sample_rate != self.sample_rate:
            # Training resamples with this very function; its libraries load only when needed.
            from int4_conformer.audio.files import resample

            pcm = resample(pcm, sample_rate, self.sample_rate)
        return np.pad(pcm, (0, -pcm.size % self._metadata.block_samples))


def _mono(samples: np.ndarray) -> np.ndarray:
    """Checked float32 `[samples]` in [-1, 1]."""
    if samples.dtype not in (np.float32, np.int16):
        raise UserError(
            f"`samples` must be float32 in [-1, 1] or int16. Received: {samples.dtype}; convert "
            "with samples.astype(numpy.float32)."
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > _MAX_CHANNELS):
        raise UserError(
            "`samples` must be [samples] or [samples, channels] with at most "
            f"{_MAX_CHANNELS} channels. Received: shape {list(samples.shape)}"
        )
    if samples.size == 0:
        raise UserError(f"`samples` holds no sample. Received: shape {list(samples.shape)}")
    pcm = samples / np.float32(32768) if samples.dtype == np.int16 else samples
    if not np.isfinite(pcm).all():
        raise UserError("`samples` holds NaN or infinite values; decode the audio again.")
    if (peak := np.abs(pcm).max()) > _MAX_PEAK:
        raise UserError(
            f"`samples` must be in [-1, 1]. Received: a peak of {peak:g}; divide 16-bit samples "
            "by 32768 or give them as int16."
        )
    if pcm.ndim == 2:
        pcm = pcm.mean(axis=1)
    return np.clip(pcm, -1.0, 1.0, dtype=np.float32)
