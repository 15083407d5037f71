"""Log-mel features."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.layers.steppable import State, Steppable, follow
from int4_conformer.shapes import sizes

# Blocks that a window reaches back.
_PAST_BLOCKS = 2
# Power added before the logarithm: about -90 dB of full scale in a mel band, below room noise.
_FLOOR = 1e-6


@keras.saving.register_keras_serializable(package="int4_conformer")
class LogMel(Steppable, keras.layers.Layer):
    """Normalised log-mel frames from PCM.

    Frame t ends with sample (t + 1) hop: it looks back only, the first frames see zeros before
    the start, and `samples / hop` frames come out. The mean of a window is taken away, unless the
    config says otherwise: the direct current of a microphone is not heard. Each band has the mean
    `mean` taken away and is multiplied by `inverse_std`, both set from training audio by `adapt`.
    It computes in float32, whatever the dtype policy.

    Call: float [batch, samples] in [-1, 1], samples a multiple of the hop ->
        float [batch, samples / hop, mel_bins]; a mask changes nothing.

    Example:

        >>> inputs = keras.Input([None])
        >>> outputs = LogMel()(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 1600])).shape
        TensorShape([2, 10, 80])
    """

    def __init__(self, config: FrontEndConfig | None = None, **kwargs: Any):
        super().__init__(**{"trainable": False, "dtype": "float32"} | kwargs)
        self.config = config = config or FrontEndConfig()
        self.fft_length = 1 << (config.window - 1).bit_length()
        self.window = np.hanning(config.window + 1)[:-1].astype(np.float32)
        self.mel_parts = _parts(mel_matrix(config.mel_bins, self.fft_length, config.sample_rate))

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        bins = (self.config.mel_bins,)
        self.mean = self.add_weight(shape=bins, initializer="zeros", name="mean")
        self.inverse_std = self.add_weight(shape=bins, initializer="ones", name="inverse_std")

    def initial_state(self, batch: int) -> State:
        """`blocks` float [batch, 2, hop]: the samples before the segment."""
        return {"blocks": tf.zeros([batch, _PAST_BLOCKS, self.config.hop])}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        blocks, past = follow(state and state["blocks"], self._blocks(x), _PAST_BLOCKS)
        y = (self._log_mel(blocks) - self.mean) * self.inverse_std
        return y, None if state is None else {"blocks": past}

    def log_mel(self, pcm: tf.Tensor) -> tf.Tensor:
        """Features before normalisation, [batch, samples / hop, mel_bins]."""
        blocks = self._blocks(tf.convert_to_tensor(pcm))
        return self._log_mel(follow(None, blocks, _PAST_BLOCKS)[0])

    def _blocks(self, pcm: tf.Tensor) -> tf.Tensor:
        """Samples as [batch, time, hop]."""
        batch, samples = sizes(pcm)
        # Of an unknown number, -1, there are -1 // hop = -1 blocks.
        return tf.reshape(pcm, [batch, samples // self.config.hop, self.config.hop])

    def _log_mel(self, blocks: tf.Tensor) -> tf.Tensor:
        """Features of all blocks but the first two, which are only looked back to."""
        hop, window = self.config.hop, self.config.window
        # A window spans this block and two before it; slices of shifted blocks instead of
        # tf.signal.frame, whose gather LiteRT would run index by index.
        frames = tf.concat(
            [blocks[:, :-2, 3 * hop - window :], blocks[:, 1:-1], blocks[:, 2:]], axis=-1
        )
        if self.config.remove_dc_offset:
            frames -= _offset(frames)
        frames = tf.pad(frames * self.window, [[0, 0], [0, 0], [0, self.fft_length - window]])
        spectrum = tf.signal.rfft(frames)
        power = tf.math.square(tf.math.real(spectrum)) + tf.math.square(tf.math.imag(spectrum))
        mel = [tf.matmul(power[..., bins], part) for bins, part in self.mel_parts]
        return tf.math.log(tf.concat(mel, axis=-1) + _FLOOR)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LogMel":
        return cls(**(config | {"config": FrontEndConfig.from_config(config["config"])}))

    def adapt(self, batches: Any) -> None:
        """Sets `mean` and `inverse_std` per band from `(pcm [batch, samples], length [batch])`."""
        if not self.built:
            self.build()
        count, total, squares = 0.0, 0.0, 0.0
        for pcm, length in batches:
            features = self.log_mel(pcm).numpy().astype(np.float64)
            real = np.arange(features.shape[1]) < np.asarray(length)[:, None] // self.config.hop
            features = features[real]
            count += len(features)
            total += features.sum(axis=0)
            squares += np.square(features).sum(axis=0)
        if not count:
            raise UserError("The corpus has no frame to take feature statistics from.")
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - np.square(mean), 1e-4))
        self.mean.assign(mean)
        self.inverse_std.assign(1.0 / std)


def _offset(frames: tf.Tensor) -> tf.Tensor:
    """The mean of each window, at its samples that are not exactly 0.

    The zeros before the start and behind the end have no offset: with the mean taken away from
    them, too, an offset would leave a step there, which sounds as a click.
    """
    sounds = tf.cast(tf.not_equal(frames, 0.0), tf.float32)
    count = tf.reduce_sum(sounds, axis=-1, keepdims=True)
    mean = tf.reduce_sum(frames, axis=-1, keepdims=True) / tf.maximum(count, 1.0)
    return mean * sounds


def mel_matrix(bins: int, fft_length: int, sample_rate: int) -> np.ndarray:
    """Triangular mel filters (HTK's mel scale), float32 [fft_length / 2 + 1, bins].

    The corners are spaced evenly in mel between 20 Hz and half the sample rate; each filter peaks
    at 1. A filter narrower than a bin of the transform is widened to reach one, so that no band
    is silent.
    """
    corners = np.linspace(_mel(20.0), _mel(sample_rate / 2), bins + 2)
    hertz = np.linspace(0.0, sample_rate / 2, fft_length // 2 + 1)
    mels = _mel(hertz)[:, None]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    weights = np.minimum((mels - low) / (centre - low), (high - mels) / (high - centre))
    weights = np.maximum(weights, 0.0)
    for band in np.flatnonzero(weights.sum(axis=0) == 0):
        weights[np.argmin(np.abs(mels[:, 0] - centre[band])), band] = 1.0
    return weights.astype(np.float32)


def _parts(matrix: np.ndarray) -> list[tuple[slice, np.ndarray]]:
    """A matrix [bins of the transform, bands], cut into bands and the bins that these hear.

    Nine in ten of its values are zeros, which would be a tenth of a small model's file. XNNPACK
    joins five tensors at most.
    """
    parts = []
    for bands in np.array_split(matrix, 5, axis=1):
        heard = np.flatnonzero(bands.any(axis=1))
        bins = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
        parts.append((bins, bands[bins]))
    return parts


def _mel(hertz: float | np.ndarray) -> float | np.ndarray:
    return 2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0)
