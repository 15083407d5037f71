"""The input pipeline: utterances to padded batches of a few fixed shapes.

XLA compiles one program a shape. Utterances are therefore sorted into buckets of similar length,
and every batch has exactly the shape of its bucket.
"""

import concurrent.futures
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batch_plan import evaluation_plan, training_plan
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.sources.manifest import Utterance
from int4_conformer.data.sources.synthetic import SyntheticUtterance
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.text.tokenizer import Tokenizer

# Bounds in samples are multiples of this: 40 ms, four hops of 10 ms, which is one encoder frame.
_SAMPLES_MULTIPLE = 640

# Manifests round durations, to a tenth of a second at the coarsest.
_DURATION_ERROR = 0.05

_INT16_SCALE = 32768

# Batches that are made ahead.
_PREFETCHED = 2


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
    start: int = 0,
    cache: bool = True,
) -> tf.data.Dataset:
    """Batches of the utterances, each of the shape of the smallest bucket that it fits.

    A batch is a dict, of shapes fixed by its bucket (`batch` rows, N samples, U labels):

      `pcm`          float32 `[batch, N]` in [-1, 1], zeros after the end
      `pcm_length`   int32 `[batch]`, samples
      `labels`       int32 `[batch, U]`, zeros (the blank) after the end
      `label_length` int32 `[batch]`
      `index`        int32 `[batch]`, the place of the utterance in `utterances`

    In training the utterances are shuffled anew every epoch and repeated for ever
    (`training_plan`). In evaluation each comes once, in order within a bucket, and the last batch
    of a bucket is filled up with empty rows of `index` -1 and lengths 0, which the caller leaves
    out.

    Utterances longer than the largest bucket are dropped, and their number is logged.

    Args:
      utterances: the corpus.
      tokenizer: makes the labels.
      buckets: the shapes, from `make_buckets`.
      training: see above.
      seed: of the shuffling; the same seed gives the same batches.
      start: of training: how many batches were taken before; the following ones come.
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
    labels = [np.array(tokenizer.encode(u.text), np.int32) for u in utterances]
    if cache:
        recordings = _decode_all(utterances)
        samples = np.array([pcm.size for pcm in recordings])
    else:
        samples = np.array([utterance.duration for utterance in utterances]) * SAMPLE_RATE
    bucket_of = _buckets_of(utterances, samples, [row.size for row in labels], buckets)
    rows = [bucket.batch_size for bucket in buckets]
    pool = None if cache else concurrent.futures.ThreadPoolExecutor()

    def recordings_of(places: Sequence[int]) -> Iterable[np.ndarray]:
        if pool is None:
            return [recordings[place] for place in places]
        return pool.map(_pcm16, [utterances[place] for place in places])

    def generate() -> Iterator[dict[str, np.ndarray]]:
        if training:
            plan = training_plan(bucket_of, rows, seed, start)
        else:
            plan = evaluation_plan(bucket_of, rows)
        for bucket, places in plan:
            yield _batch(buckets[bucket], places, recordings_of(places), labels)

    signature = {
        "pcm": tf.TensorSpec([None, None], tf.float32),
        "pcm_length": tf.TensorSpec([None], tf.int32),
        "labels": tf.TensorSpec([None, None], tf.int32),
        "label_length": tf.TensorSpec([None], tf.int32),
        "index": tf.TensorSpec([None], tf.int32),
    }
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    # There is nothing to tune, and an iterator waits for the tuner, a minute at most, as it ends.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_PREFETCHED).with_options(options)


def _batch(
    bucket: Bucket,
    places: Sequence[int],
    recordings: Iterable[np.ndarray],
    labels: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Utterances as a batch; rows without one are empty."""
    rows = bucket.batch_size
    batch = {
        "pcm": np.zeros([rows, bucket.samples], np.float32),
        "pcm_length": np.zeros([rows], np.int32),
        "labels": np.zeros([rows, bucket.labels], np.int32),
        "label_length": np.zeros([rows], np.int32),
        "index": np.full([rows], -1, np.int32),
    }
    for row, (place, pcm) in enumerate(zip(places, recordings, strict=True)):
        if pcm.size > bucket.samples:
            # The duration in the manifest let it in; the decoded audio has the last word.
            continue
        batch["pcm"][row, : pcm.size] = pcm / np.float32(_INT16_SCALE)
        batch["pcm_length"][row] = pcm.size
        batch["labels"][row, : labels[place].size] = labels[place]
        batch["label_length"][row] = labels[place].size
        batch["index"][row] = place
    return batch


def _buckets_of(
    utterances: Utterances,
    samples: np.ndarray,
    label_counts: Sequence[int],
    buckets: Sequence[Bucket],
) -> np.ndarray:
    """The smallest bucket that each utterance fits, -1 for audio that is too long for all; refuses
    texts that are too long."""
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
    fits = np.stack(
        [
            (samples <= bucket.samples) & (np.array(label_counts) <= bucket.labels)
            for bucket in buckets
        ]
    )
    unfit = np.flatnonzero(~fits.any(axis=0) & ~too_long)
    if unfit.size:
        place = unfit[0]
        raise UserError(
            f"The text {utterances[place].text!r} has {label_counts[place]} labels, more than "
            f"buckets of its {samples[place] / SAMPLE_RATE:.2f} s of audio allow; "
            "make the buckets from this corpus too, or leave the utterance out."
        )
    return np.where(fits.any(axis=0), fits.argmax(axis=0), -1)


def _pcm16(utterance: Utterance | SyntheticUtterance) -> np.ndarray:
    """int16 `[samples]`; exact for files of 16 bits at 16 kHz."""
    scaled = np.round(utterance.samples(SAMPLE_RATE) * _INT16_SCALE)
    return np.clip(scaled, -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


def _decode_all(utterances: Utterances) -> list[np.ndarray]:
    # Decoding and resampling release the interpreter's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(_pcm16, utterances))
