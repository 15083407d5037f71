"""Other sample rates, in graph: a windowed sinc, whose phases repeat."""

import math

import tensorflow as tf

# Zeros of the sinc on either side, and the window's shape (Kaiser): 80 dB below what it lets pass.
_ZEROS = 32
_BETA = 8.0
# The lower of the two bands ends before half of the lower rate.
_ROLL_OFF = 0.95
# Output samples for which the filter is tabulated, at least, and at most: rates that have no common
# divisor would need more.
_FEWEST_PHASES = 160
_MOST_PHASES = 3200
LOWEST_RATE, HIGHEST_RATE = 4000, 192000


def is_resampled(rate: tf.Tensor, to: int) -> tf.Tensor:
    """bool []: whether `resample` takes a rate int32 []."""
    within = (rate >= LOWEST_RATE) & (rate <= HIGHEST_RATE)
    return within & (to // _common_divisor(rate, to) <= _MOST_PHASES)


def resample(samples: tf.Tensor, rate: tf.Tensor, to: int) -> tf.Tensor:
    """Samples at another rate.

    The filter does the same to each block of `phases` outputs, which come from `step` inputs and
    some around them: a product with one matrix.

    Args:
        samples: float32 [samples].
        rate: int32 [], in Hz; one that `is_resampled`.
        to: the other rate.

    Returns:
        float32 [samples * to / rate, rounded].
    """
    divisor = _common_divisor(rate, to)
    repeats = -(-_FEWEST_PHASES // (to // divisor))
    phases, step = to // divisor * repeats, rate // divisor * repeats
    # In units of input samples; the filter is wider where it has to cut.
    cutoff = _ROLL_OFF * tf.minimum(1.0, to / tf.cast(rate, tf.float32))
    reach = tf.cast(tf.math.ceil(_ZEROS / cutoff), tf.int32)
    times = tf.range(phases, dtype=tf.float32) * tf.cast(step, tf.float32)
    times /= tf.cast(phases, tf.float32)
    places = tf.range(-reach, step + reach, dtype=tf.int32)
    distance = (tf.cast(places, tf.float32)[:, None] - times) * cutoff
    inside = tf.maximum(0.0, 1.0 - tf.square(distance / _ZEROS))
    window = tf.math.bessel_i0(_BETA * tf.sqrt(inside)) / tf.math.bessel_i0(_BETA)
    filter_ = tf.where(inside > 0, cutoff * window * _sinc(distance), 0.0)

    exact = tf.cast(tf.size(samples), tf.float64) * to / tf.cast(rate, tf.float64)
    wanted = tf.cast(tf.math.floor(exact + 0.5), tf.int32)
    blocks = -(-wanted // phases)
    missing = tf.maximum(0, blocks * step + reach - tf.size(samples))
    padded = tf.pad(samples, [[reach, missing]])
    frames = tf.signal.frame(padded, step + 2 * reach, step)[:blocks]
    return tf.reshape(frames @ filter_, [-1])[:wanted]


def _sinc(x: tf.Tensor) -> tf.Tensor:
    x = math.pi * x
    return tf.math.divide_no_nan(tf.sin(x), x) + tf.cast(x == 0, tf.float32)


def _common_divisor(a: tf.Tensor, b: int) -> tf.Tensor:
    """The greatest, of int32 [] and a number; Euclid's."""
    a, b = tf.maximum(a, 1), tf.constant(b)
    return tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), (a, b))[0]
