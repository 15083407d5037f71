"""WAV files as a request holds them, decoded in graph: PCM of 8 to 32 bits, floats, A-law and
mu-law, whatever the rate and the channels.

The header is read as the RIFF specification has it ("Multimedia Programming Interface and Data
Specifications 1.0", 1991): chunks, of which "fmt " and "data" count. As everywhere in this project
lengths are what is there, not what the header claims.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from int4_conformer.audio.samples import LEAST_KEPT, MAX_CHANNELS, MAX_PEAK

# Format tags.
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
# How files of other formats begin, and what they are.
_OTHERS = {
    "fLaC": "FLAC",
    "OggS": "Ogg",
    "ID3": "MP3",
    "RF64": "RF64",
    "FORM": "AIFF",
    "\x1aE": "WebM",
}
_ADVICE = "send WAV with PCM, float, A-law or mu-law samples, or decode it and send `pcm`"


class Sound(NamedTuple):
    """A decoded file."""

    # float32 [samples], mono; none if there is an error.
    samples: tf.Tensor
    # int32 [], in Hz.
    rate: tf.Tensor
    # string [], what is wrong; empty if nothing is.
    error: tf.Tensor


def decode_wav(content: tf.Tensor) -> Sound:
    """Decodes a file, string []; channels are mixed, or the louder one taken where they cancel."""
    format_at, data_at, data_size = _chunks(content)
    has_format, has_data = format_at > 0, data_at > 0
    # Fields of a chunk that is not there are those of what begins the file; they are not used.
    tag = _uint(content, format_at, 2)
    extended = tag == _EXTENSIBLE
    tag = tf.where(extended, _uint(content, format_at + 24, 2), tag)
    channels = _uint(content, format_at + 2, 2)
    rate = _uint(content, format_at + 4, 4)
    bits = _uint(content, format_at + 14, 2)
    kinds = [(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)]
    kinds += [(_A_LAW, 8), (_MU_LAW, 8)]
    kind = tf.reduce_sum(
        [(1 + i) * tf.cast((tag == t) & (bits == b), tf.int32) for i, (t, b) in enumerate(kinds)]
    )
    is_wav = (_substr(content, 0, 4) == "RIFF") & (_substr(content, 8, 4) == "WAVE")
    error = _sentence(
        [
            (tf.strings.length(content) == 0, "`audio_bytes` holds no byte."),
            *(
                (
                    _substr(content, 0, len(start)) == start,
                    f"`audio_bytes` holds {kind}; {_ADVICE}.",
                )
                for start, kind in _OTHERS.items()
            ),
            (~is_wav, f"`audio_bytes` holds no WAV file; {_ADVICE}."),
            (~has_format | ~has_data, "`audio_bytes` holds a WAV file without format or samples."),
            (
                kind == 0,
                tf.strings.join(
                    [
                        "`audio_bytes` holds a WAV file of format ",
                        tf.strings.as_string(tag),
                        " with ",
                        tf.strings.as_string(bits),
                        f" bits; {_ADVICE}.",
                    ]
                ),
            ),
            (
                (channels < 1) | (channels > MAX_CHANNELS),
                f"A WAV file must have 1 to {MAX_CHANNELS} channels.",
            ),
        ]
    )
    good = error == ""
    channels = tf.where(good, channels, 1)
    frame = channels * tf.gather([1, 1, 2, 3, 4, 4, 8, 1, 1], kind)
    data = tf.strings.substr(content, data_at, tf.where(good, data_size // frame * frame, 0))
    samples = tf.switch_case(kind, [lambda decode=d: decode(data) for d in _DECODERS])
    samples = tf.reshape(samples, tf.stack([-1, channels]))
    samples = _mono(samples)
    # Resamplers and float files overshoot 1 by a little, and what is far above is refused later.
    is_scaled = tf.reduce_max(tf.abs(samples)) <= MAX_PEAK
    return Sound(tf.where(is_scaled, tf.clip_by_value(samples, -1.0, 1.0), samples), rate, error)


def _chunks(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """int32 [] each: where the bytes of "fmt " and of "data" begin, 0 for nowhere, and how many of
    the latter there are."""
    end = tf.strings.length(content)

    def unfinished(at, format_at, data_at):
        return (at + 8 <= end) & (data_at == 0)

    def step(at, format_at, data_at):
        name, body = _substr(content, at, 4), at + 8
        size = _uint(content, at + 4, 4)
        # Past the end, whatever it claims; negative sizes are those from 2^31 on.
        size = tf.where((size < 0) | (size > end - body), end - body, size)
        format_at = tf.where((name == "fmt ") & (size >= 16), body, format_at)
        data_at = tf.where(name == "data", body, data_at)
        return body + size + size % 2, format_at, data_at

    start = tf.constant(12), tf.constant(0), tf.constant(0)
    _, format_at, data_at = tf.while_loop(unfinished, step, start)
    claimed = _uint(content, data_at - 4, 4)
    there = end - data_at
    # A stream's writer does not know the size: it says none, or the largest.
    size = tf.where((claimed <= 0) | (claimed > there), there, claimed)
    return format_at, data_at, tf.where(data_at > 0, size, 0)


def _substr(content: tf.Tensor, at: int | tf.Tensor, size: int) -> tf.Tensor:
    """Bytes of a string [], as many of them as there are."""
    at = tf.clip_by_value(at, 0, tf.strings.length(content))
    return tf.strings.substr(content, at, size)


def _begins(content: tf.Tensor, start: str) -> tf.Tensor:
    return _substr(content, 0, len(start)) == start


def _uint(content: tf.Tensor, at: tf.Tensor, size: int) -> tf.Tensor:
    """int32 [] of `size` bytes, the least first; missing ones are 0."""
    padded = tf.strings.join([_substr(content, at, size), tf.constant(b"\0" * 4)])
    values = tf.io.decode_raw(tf.strings.substr(padded, 0, 4), tf.uint8)
    places = tf.constant([1, 1 << 8, 1 << 16, 1 << 24][:size], tf.int64)
    return tf.cast(tf.reduce_sum(tf.cast(values[:size], tf.int64) * places), tf.int32)


def _integers(dtype: tf.DType, scale: float, zero: float = 0.0):
    def decode(data: tf.Tensor) -> tf.Tensor:
        return (tf.cast(tf.io.decode_raw(data, dtype), tf.float32) - zero) / scale

    return decode


def _24_bits(data: tf.Tensor) -> tf.Tensor:
    parts = tf.reshape(tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32), [-1, 3])
    # The sign bit at the top, and back.
    values = parts[:, 0] * (1 << 8) + parts[:, 1] * (1 << 16) + parts[:, 2] * (1 << 24)
    return tf.cast(values // (1 << 8), tf.float32) / float(1 << 23)


def _floats(dtype: tf.DType):
    return lambda data: tf.cast(tf.io.decode_raw(data, dtype), tf.float32)


def _table(values: np.ndarray):
    """Decodes a byte by a table (ITU-T G.711)."""
    table = values.astype(np.float32) / 32768

    def decode(data: tf.Tensor) -> tf.Tensor:
        return tf.gather(table, tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32))

    return decode


def _a_law() -> np.ndarray:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    size = np.where(
        exponent == 0, mantissa * 16 + 8, (mantissa * 16 + 264) << (exponent - 1).clip(0)
    )
    return np.where(code & 0x80, size, -size)


def _mu_law() -> np.ndarray:
    code = ~np.arange(256) & 0xFF
    size = (((code & 15) * 8 + 132) << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size)


_DECODERS = (
    lambda data: tf.zeros([0]),
    _integers(tf.uint8, 128.0, 128.0),
    _integers(tf.int16, 32768.0),
    _24_bits,
    _integers(tf.int32, 2.0**31),
    _floats(tf.float32),
    _floats(tf.float64),
    _table(_a_law()),
    _table(_mu_law()),
)


def _mono(samples: tf.Tensor) -> tf.Tensor:
    """[samples, channels] -> [samples], as `audio.samples.to_mono` mixes."""
    mixed = tf.reduce_mean(samples, axis=1)
    energies = tf.math.reduce_variance(tf.cast(samples, tf.float64), axis=0)
    kept = tf.math.reduce_variance(tf.cast(mixed, tf.float64))
    count = tf.cast(tf.shape(samples)[1], tf.float64)
    cancels = kept < LEAST_KEPT * tf.reduce_sum(energies) / count**2
    return tf.where(cancels, tf.gather(samples, tf.argmax(energies), axis=1), mixed)


def _sentence(cases: list[tuple[tf.Tensor, str | tf.Tensor]]) -> tf.Tensor:
    """The sentence of the first case that is so, or ""."""
    found = tf.constant("")
    for is_so, sentence in reversed(cases):
        found = tf.where(is_so, sentence, found)
    return found
