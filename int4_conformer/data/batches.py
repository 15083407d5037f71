"""The input pipeline: utterances to padded batches of a few fixed shapes.

XLA compiles one program a shape. Utterances are therefore sorted into buckets of similar length,
and every batch has exactly the shape of its bucket.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.sources.manifest import Utterance
from int4_conformer.data.sources.synthetic import SyntheticUtterance
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.text.tokenizer import Tokenizer

# From the place of an utterance, int32 [], to that and its int16 `[samples]`.
Loader = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

# Bounds in samples are multiples of this: 40 ms, four hops of 10 ms, which is one encoder frame.
_SAMPLES_MULTIPLE = 640

# Manifests round durations, to a tenth of a second at the coarsest.
_DURATION_ERROR = 0.05

_INT16_SCALE = 32768


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bucket:
    """The shape of a batch, and so the longest audio and text that fit in it."""

    # Samples at 16 kHz.
    samples: int
    # Labels, without any blank.
    labels: int
    batch_size: int

    def __post_init__(self) -> None:
        require_at_least(1, samples=self.samples, labels=self.labels, batch_size=self.batch_size)


def make_buckets(
    utterances: Utterances,
    tokenizer: Tokenizer,
    *,
    count: int = 4,
    batch_size: int | None = None,
    seconds_per_batch: float | None = None,
    max_seconds: float | None = None,
) -> tuple[Bucket, ...]:
    """Buckets with bounds at quantiles of the utterances' durations, shortest first.

    Args:
      utterances: the corpus to fit.
      tokenizer: gives the lengths in labels.
      count: most buckets to make; equal bounds fall together.
      batch_size: rows of every batch; or
      seconds_per_batch: padded audio of a batch, so that short utterances come in more rows.
      max_seconds: leave out longer utterances, which `batches` then drops.

    Raises:
      UserError: not exactly one of `batch_size` and `seconds_per_batch` is given, a text has a
        symbol outside the vocabulary, or no utterance is left.
    """
    require_at_least(1, count=count)
    if (batch_size is None) == (seconds_per_batch is None):
        raise UserError(
            "Give either `batch_size` or `seconds_per_batch`. Received: "
            f"batch_size={batch_size} and seconds_per_batch={seconds_per_batch}"
        )
    if max_seconds is not None:
        utterances = [u for u in utterances if u.duration <= max_seconds]
    if not utterances:
        raise UserError(f"There is no utterance to make buckets of (max_seconds={max_seconds}).")
    seconds = np.array([utterance.duration for utterance in utterances])
    labels = label_lengths(utterances, tokenizer)
    buckets: dict[int, Bucket] = {}
    for bound in np.quantile(seconds, np.arange(1, count + 1) / count, method="higher"):
        samples = round_up_samples(bound + _DURATION_ERROR)
        rows = batch_size
        if seconds_per_batch is not None:
            rows = max(1, int(seconds_per_batch * SAMPLE_RATE / samples))
        most_labels = max(1, int(labels[seconds <= bound].max()))
        buckets[samples] = Bucket(samples=samples, labels=most_labels, batch_size=rows)
    return tuple(buckets[samples] for samples in sorted(buckets))


def round_up_samples(seconds: float) -> int:
    """The samples of `seconds` at 16 kHz, rounded up to whole 40 ms."""
    return int(np.ceil(seconds * SAMPLE_RATE / _SAMPLES_MULTIPLE)) * _SAMPLES_MULTIPLE


def label_lengths(utterances: Utterances, tokenizer: Tokenizer) -> np.ndarray:
    """Labels of each text, int64 `[utterances]`.

    Raises:
      UserError: a text has a symbol outside the vocabulary.
    """
    return np.array([len(tokenizer.encode(utterance.text)) for utterance in utterances], np.int64)


def batches(
    utterances: Utterances,
    tokenizer: Tokenizer,
    *,
    buckets: Sequence[Bucket],
    training: bool,
    seed: int = 0,
    cache: bool = True,
) -> tf.data.Dataset:
    """Batches of the utterances, each of the shape of the smallest bucket that it fits.

    A batch is a dict, of shapes fixed by its bucket (`batch` rows, N samples, U labels):

      `pcm`          float32 `[batch, N]` in [-1, 1], zeros after the end
      `pcm_length`   int32 `[batch]`, samples
      `labels`       int32 `[batch, U]`, zeros (the blank) after the end
      `label_length` int32 `[batch]`
      `index`        int32 `[batch]`, the place of the utterance in `utterances`

    In training the utterances are shuffled anew every epoch and repeated for ever. In evaluation
    each comes once, in order within a bucket, and the last batch of a bucket is filled up with
    empty rows of `index` -1 and lengths 0, which the caller leaves out.

    Utterances longer than the largest bucket are dropped, and their number is logged.

    Args:
      utterances: the corpus.
      tokenizer: makes the labels, in graph.
      buckets: the shapes, from `make_buckets`.
      training: see above.
      seed: of the shuffling; the same seed gives the same batches.
      cache: decode everything once, now, and hold it as int16 (115 MB an hour); otherwise decode
        every time an utterance is drawn, for corpora larger than memory.

    Raises:
      UserError: a text has a symbol outside the vocabulary or more labels than its bucket allows,
        all utterances are too long, or a file cannot be decoded.
    """
    if not buckets:
        raise UserError("`buckets` must hold at least one bucket. Received none.")
    if not utterances:
        raise UserError("`utterances` must hold at least one utterance. Received none.")
    buckets = sorted(buckets, key=lambda bucket: (bucket.samples, bucket.labels))
    label_counts = label_lengths(utterances, tokenizer)
    if cache:
        recordings = _decode_all(utterances)
        samples = np.array([pcm.size for pcm in recordings])
        load = _cached_loader(recordings)
    else:
        samples = np.array([utterance.duration for utterance in utterances]) * SAMPLE_RATE
        load = _decoding_loader(utterances)
    kept = _fitting(utterances, samples, label_counts, buckets)

    samples_bound = tf.constant([bucket.samples for bucket in buckets], tf.int64)
    labels_bound = tf.constant([bucket.labels for bucket in buckets], tf.int64)
    batch_sizes = tf.constant([bucket.batch_size for bucket in buckets], tf.int64)
    label_counts = tf.constant(label_counts)
    texts = tf.constant([utterance.text for utterance in utterances])

    def fits(index: tf.Tensor, pcm: tf.Tensor) -> tf.Tensor:
        """Which buckets hold the utterance, bool `[buckets]`."""
        length = tf.size(pcm, tf.int64)
        return (length <= samples_bound) & (label_counts[index] <= labels_bound)

    def smallest_bucket(index: tf.Tensor, pcm: tf.Tensor) -> tf.Tensor:
        return tf.argmax(fits(index, pcm))

    def batch_of(bucket: tf.Tensor, window: tf.data.Dataset) -> tf.data.Dataset:
        rows = batch_sizes[bucket]
        label_shape = tf.stack([rows, labels_bound[bucket]])

        def finish(index: tf.Tensor, pcm: tf.Tensor, pcm_length: tf.Tensor) -> dict[str, tf.Tensor]:
            labels = tokenizer.encode_tf(tf.gather(texts, index))
            missing = rows - tf.size(index, tf.int64)
            return {
                "pcm": tf.cast(tf.pad(pcm, [[0, missing], [0, 0]]), tf.float32) / _INT16_SCALE,
                "pcm_length": tf.pad(pcm_length, [[0, missing]]),
                "labels": labels.to_tensor(shape=label_shape),
                "label_length": tf.pad(
                    tf.cast(tf.gather(label_counts, index), tf.int32), [[0, missing]]
                ),
                "index": tf.pad(index, [[0, missing]], constant_values=-1),
            }

        window = window.map(lambda index, pcm: (index, pcm, tf.size(pcm)))
        shapes = ([], samples_bound[bucket, tf.newaxis], [])
        return window.padded_batch(rows, padded_shapes=shapes).map(finish)

    dataset = tf.data.Dataset.from_tensor_slices(kept.astype(np.int32))
    if training:
        dataset = dataset.shuffle(len(kept), seed=seed, reshuffle_each_iteration=True).repeat()
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if not cache:
        # The duration in the manifest let it in; the decoded audio has the last word.
        dataset = dataset.filter(lambda index, pcm: tf.reduce_any(fits(index, pcm)))
    return dataset.group_by_window(
        key_func=smallest_bucket,
        reduce_func=batch_of,
        window_size_func=lambda bucket: batch_sizes[bucket],
    ).prefetch(tf.data.AUTOTUNE)


def _fitting(
    utterances: Utterances,
    samples: np.ndarray,
    label_counts: np.ndarray,
    buckets: Sequence[Bucket],
) -> np.ndarray:
    """Places of the utterances that fit in some bucket; refuses texts that are too long."""
    longest = buckets[-1].samples
    too_long = samples > longest
    if too_long.any():
        logging.warning(
            "Dropped %d of %d utterances longer than %.2f s, the largest bucket.",
            too_long.sum(),
            len(utterances),
            longest / SAMPLE_RATE,
        )
    if too_long.all():
        raise UserError(
            f"None of the {len(utterances)} utterances fits in the largest bucket, "
            f"{longest / SAMPLE_RATE:.2f} s; make the buckets from this corpus."
        )
    fits = np.zeros(len(utterances), bool)
    for bucket in buckets:
        fits |= (samples <= bucket.samples) & (label_counts <= bucket.labels)
    unfit = np.flatnonzero(~fits & ~too_long)
    if unfit.size:
        place = unfit[0]
        raise UserError(
            f"The text {utterances[place].text!r} has {label_counts[place]} labels, more than "
            f"buckets of its {samples[place] / SAMPLE_RATE:.2f} s of audio allow; "
            "make the buckets from this corpus too, or leave the utterance out."
        )
    return np.flatnonzero(fits)


def _pcm16(utterance: Utterance | SyntheticUtterance) -> np.ndarray:
    """int16 `[samples]`; exact for files of 16 bits at 16 kHz."""
    scaled = np.round(utterance.samples(SAMPLE_RATE) * _INT16_SCALE)
    return np.clip(scaled, -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


def _decode_all(utterances: Utterances) -> list[np.ndarray]:
    # Decoding and resampling release the interpreter's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(_pcm16, utterances))


def _cached_loader(recordings: list[np.ndarray]) -> Loader:
    # One tensor, sliced in graph: no call back into Python for each utterance.
    pcm = tf.constant(np.concatenate(recordings))
    ends = tf.constant(np.cumsum([recording.size for recording in recordings]))
    starts = tf.concat([[0], ends[:-1]], axis=0)
    return lambda index: (index, pcm[starts[index] : ends[index]])


def _decoding_loader(utterances: Utterances) -> Loader:
    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pcm = tf.numpy_function(lambda place: _pcm16(utterances[place]), [index], tf.int16)
        return index, tf.ensure_shape(pcm, [None])

    return load
