"""Audio as clients send it, checked row by row: one that is no good fails alone, not the batch that
a server put it into."""

from typing import NamedTuple

import tensorflow as tf

from int4_conformer.audio.samples import MAX_PEAK

# What stands for the length of a row of which the client says none.
WHOLE = -1


class Rows(NamedTuple):
    """Audio of a batch."""

    # float32 [batch, samples], silence past the end; whole blocks, at least one.
    pcm: tf.Tensor
    # int32 [batch], real samples; of rows with an error one block, of silence.
    length: tf.Tensor
    # string [batch], what is wrong with a row; empty if nothing is.
    error: tf.Tensor


def checked_rows(
    pcm: tf.Tensor, length: tf.Tensor, *, block: int, max_samples: int, sample_rate: int
) -> Rows:
    """Checks audio.

    Args:
        pcm: float32 [batch, samples], padded with anything.
        length: int32 [batch], real samples, or [1] for all rows alike; `WHOLE` where nobody says
            how long a row is: it then ends behind its last sample that differs from its first, for
            servers pad rows with their first sample.
        block: samples that rows are padded to a multiple of.
        max_samples: most samples of a row.
        sample_rate: for the sentences.
    """
    pcm = _of_rank_two(pcm)
    batch, samples = tf.unstack(tf.shape(pcm))
    length = _of_rows(length, batch)
    unsaid = length == WHOLE
    length = tf.where(unsaid, _until_the_last_change(pcm), length)
    here = tf.sequence_mask(tf.clip_by_value(length, 0, samples), samples)
    peak = tf.reduce_max(tf.where(here, tf.abs(pcm), 0.0), axis=1)
    # NaN is no maximum everywhere.
    finite = tf.reduce_all(tf.math.is_finite(pcm) | ~here, axis=1)
    seconds = max_samples / sample_rate
    error = _first(
        (
            length > samples,
            ["`length` says ", length, " samples, and the row has ", samples, "."],
        ),
        (length < WHOLE, ["`length` must be a number of samples. Received: ", length]),
        (length == 0, ["`pcm` holds no sample."]),
        (~finite, ["`pcm` holds samples that are NaN or infinite; encode the audio again."]),
        (
            peak > MAX_PEAK,
            [
                "`pcm` holds a peak of ",
                peak,
                ", and float samples must be in [-1, 1]; divide 16-bit samples by 32768, or send "
                "them to the signature transcribe_pcm16.",
            ],
        ),
        (
            length > max_samples,
            [
                "`pcm` is ",
                tf.cast(length, tf.float32) / sample_rate,
                f" s long, and this model was exported for at most {seconds:g} s; cut the audio at "
                "pauses, stream it, or export with a larger --max_seconds.",
            ],
        ),
    )
    bad = error != ""
    length = tf.where(bad, block, length)
    padded = -(-tf.reduce_max(length) // block) * block
    pcm = pcm[:, :padded]
    pcm = tf.pad(pcm, [[0, 0], [0, padded - tf.shape(pcm)[1]]])
    real = tf.sequence_mask(length, padded) & ~bad[:, None]
    return Rows(tf.where(real, pcm, 0.0), length, error)


def _of_rank_two(pcm: tf.Tensor) -> tf.Tensor:
    # The graph believes the signature, but whoever calls a loaded SavedModel may give any shape:
    # this has it look.
    looked = tf.raw_ops.PlaceholderWithDefault(input=pcm, shape=tf.TensorShape(None))
    received = ["`pcm` must be [batch, samples]. Received:", tf.shape(looked)]
    is_batch = tf.size(tf.shape(looked)) == 2
    with tf.control_dependencies([tf.debugging.Assert(is_batch, received)]):
        return tf.ensure_shape(looked, [None, None])


def _of_rows(length: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """One length for each row."""
    looked = tf.reshape(length, [-1])
    fits = (tf.size(looked) == 1) | (tf.size(looked) == batch)
    received = ["`length` must be [batch] or [1]. Received:", tf.shape(looked), "for a batch of"]
    with tf.control_dependencies([tf.debugging.Assert(fits, [*received, batch])]):
        return tf.broadcast_to(looked, [batch])


def _until_the_last_change(pcm: tf.Tensor) -> tf.Tensor:
    """int32 [batch]: samples up to the last one that differs from the first, at least one where
    there is any."""
    samples = tf.shape(pcm)[1]
    numbers = tf.range(1, samples + 1)
    changes = pcm != pcm[:, :1]
    last = tf.reduce_max(tf.where(changes, numbers, 0), axis=1, keepdims=True)
    # The maximum of no samples is the least integer.
    return tf.maximum(last[:, 0], tf.minimum(samples, 1))


def _first(*cases: tuple[tf.Tensor, list]) -> tf.Tensor:
    """string [batch]: of each row the sentence of the first case that is true of it, or ""."""
    found = tf.fill(tf.shape(cases[0][0]), "")
    for is_so, parts in reversed(cases):
        parts = [x if isinstance(x, str) else _as_string(x) for x in parts]
        sentence = tf.strings.join([tf.broadcast_to(x, tf.shape(found)) for x in parts])
        found = tf.where(is_so, sentence, found)
    return found


def _as_string(x: tf.Tensor) -> tf.Tensor:
    return tf.strings.as_string(x, shortest=x.dtype.is_floating)
