"""Corpora that tensorflow-io reads and decodes, `tfio:s3://bucket/manifest.jsonl` for example."""

import dataclasses
import functools
import io
import os
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.contents import Contents, wav_file
from int4_conformer.data.sources.manifest import read_manifest
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.remote_path import path_of

if TYPE_CHECKING:
    import tensorflow as tf

PREFIX = "tfio:"
# In a folder.
_MANIFEST = "manifest.jsonl"
# By libsndfile's names, what tensorflow-io makes of samples. It ends the process where it is told
# another type than that of the file.
_TYPES = {
    "PCM_U8": "uint8",
    "PCM_16": "int16",
    "PCM_24": "int32",
    "PCM_32": "int32",
    "FLOAT": "float32",
    "VORBIS": "float32",
    "MPEG_LAYER_III": "float32",
}


def read_tfio(
    name: str, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads a manifest, and its audio when that is asked for, by TensorFlow and tensorflow-io: from
    any file system that they know.

    Args:
      name: such as "tfio:s3://bucket/manifest.jsonl", or a folder with a manifest.
      split: keep one split; None keeps all.
      report: is told of lines that cannot be used; one that stops at the first if not given.

    Raises:
      UserError: tensorflow-io is not installed; or as of `read_manifest`.
    """
    _tfio()
    path = path_of(name.removeprefix(PREFIX))
    try:
        if path.is_dir():
            path = path / _MANIFEST
        return read_manifest(path, split, report, contents_of=lambda path: TfioAudio(path=path))
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror}); check the path.") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfioAudio(Contents):
    """An audio file that TensorFlow reads and tensorflow-io decodes."""

    # With a scheme, such as "s3://bucket/a.flac", or of this machine.
    path: str

    def read(self) -> bytes:
        """A WAV file with the samples that were decoded."""
        try:
            content = path_of(self.path).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}).") from error
        samples, rate = decoded_by_tfio(content, self.path)
        return wav_file(samples, rate)


def decoded_by_tfio(content: bytes, name: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Decodes an audio file.

    Args:
        content: of a FLAC, MP3, Ogg Vorbis or WAV file.
        name: what to call it.

    Returns:
        int16, int32 or float32 `[samples, channels]`, as it has them, and its sample rate in Hz.

    Raises:
        UserError: it is none of these.
    """
    import tensorflow as tf

    try:
        header = soundfile.info(io.BytesIO(content))
        decode, dtype = _decoder(header.format), _TYPES[header.subtype]
    except soundfile.SoundFileError as error:
        raise UserError(f"{name} holds no audio that can be decoded.") from error
    except KeyError as error:
        raise UserError(
            f"{name} is {header.format_info}, {header.subtype_info}, which tensorflow-io does not "
            "decode; give FLAC, MP3, Ogg Vorbis or WAV, or leave out `tfio:`."
        ) from error
    try:
        samples = decode(tf.constant(content), dtype).numpy()
    except tf.errors.OpError as error:
        raise UserError(f"{name} cannot be decoded by tensorflow-io; convert it.") from error
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.int16) - 128) << 8
    return samples, header.samplerate


@functools.cache
def _decoder(kind: str) -> "tf.types.experimental.PolymorphicFunction":
    """A graph that decodes files of a format, by libsndfile's name: string [] and the type of the
    samples to `[samples, channels]`.

    Raises:
        KeyError: tensorflow-io knows no such format.
    """
    import tensorflow as tf

    audio = _tfio().audio
    decode = {
        "WAV": audio.decode_wav,
        "WAVEX": audio.decode_wav,
        "FLAC": audio.decode_flac,
        "OGG": lambda content, dtype: audio.decode_vorbis(content),
        "MP3": lambda content, dtype: audio.decode_mp3(content),
    }[kind]
    return tf.function(lambda content, dtype: decode(content, dtype=tf.as_dtype(dtype)))


def _tfio() -> ModuleType:
    """tensorflow-io; its file systems are known once it is imported."""
    try:
        import tensorflow_io
    except ModuleNotFoundError as error:
        raise UserError(
            "Corpora of `tfio:` need tensorflow-io and the TensorFlow that it is built for; "
            "pip install 'int4-conformer[io]' brings both, in an environment of its own."
        ) from error
    return tensorflow_io
