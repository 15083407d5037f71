"""SpecAugment, arXiv 1904.08779."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecAugmentConfig:
    """Masks per utterance; whole widths are drawn uniformly from 0 to the maximum."""

    # Number of masked bands of mel bins, and their widest, in bins.
    frequency_masks: int = 2
    frequency_width: int = 15
    # Number of masked stretches of time, and their longest, as a part of the utterance.
    time_masks: int = 2
    time_fraction: float = 0.08


def spec_augment(
    features: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor, config: SpecAugmentConfig
) -> tf.Tensor:
    """Sets random bands and stretches to zero, which is the mean of normalised features.

    Static shapes and stateless randomness: it compiles under XLA, and the same seed masks alike.

    Args:
        features: float [batch, time, bins].
        lengths: int [batch], real frames.
        seed: int [2].
        config: how much to mask.
    """
    batch, time, bins = features.shape
    draws = tf.random.stateless_uniform(
        [2, config.frequency_masks + config.time_masks, batch, 1], seed
    )
    lengths = tf.cast(lengths, tf.float32)[:, None]
    keep = tf.ones([batch, time, bins])
    for i in range(config.frequency_masks + config.time_masks):
        frequency = i < config.frequency_masks
        extent = float(bins) if frequency else lengths
        widest = float(config.frequency_width) if frequency else config.time_fraction * lengths
        # Draws are below 1: each whole number up to the largest is as likely as the others.
        width = tf.floor(draws[0, i] * (tf.floor(widest) + 1.0))
        start = tf.floor(draws[1, i] * (extent - width + 1.0))
        index = tf.range(bins if frequency else time, dtype=tf.float32)[None]
        hidden = tf.cast((index >= start) & (index < start + width), tf.float32)
        keep *= 1.0 - (hidden[:, None, :] if frequency else hidden[:, :, None])
    return features * keep
