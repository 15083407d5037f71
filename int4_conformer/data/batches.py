"""The input pipeline: utterances to padded batches of a few fixed shapes.

XLA compiles one program a shape. Utterances are therefore sorted into buckets of similar length,
and every batch has exactly the shape of its bucket.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batch_plan import evaluation_plan, training_plan
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import INT16_SCALE, Recordings, decoded
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.text.tokenizer import Tokenizer

# Bounds in samples are multiples of this: 40 ms, four hops of 10 ms, which is one encoder frame.
_SAMPLES_MULTIPLE = 640

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
    """Buckets with bounds at quantiles of the recordings' lengths, shortest first.

    Args:
      utterances: the corpus to fit; decoded here unless it is `Recordings`.
      tokenizer: gives the lengths in labels.
      count: most buckets to make; equal bounds fall together.
      batch_size: rows of every batch; or
      seconds_per_batch: padded audio of a batch, so that short utterances come in more rows.
      max_seconds: leave out longer utterances, which `batches` then drops.

    Raises:
      UserError: not exactly one of `batch_size` and `seconds_per_batch` is given, a text has a
        symbol outside the vocabulary, a file cannot be decoded, or no utterance is left.
    """
    require_at_least(1, count=count)
    if (batch_size is None) == (seconds_per_batch is None):
        raise UserError(
            "Give either `batch_size` or `seconds_per_batch`. Received: "
            f"batch_size={batch_size} and seconds_per_batch={seconds_per_batch}"
        )
    recordings = decoded(utterances)
    if max_seconds is not None:
        recordings = recordings.at(np.flatnonzero(recordings.lengths <= max_seconds * SAMPLE_RATE))
    if not recordings:
        raise UserError(f"There is no utterance to make buckets of (max_seconds={max_seconds}).")
    labels = label_lengths(recordings, tokenizer)
    lengths = recordings.lengths
    buckets: dict[int, Bucket] = {}
    for bound in np.quantile(lengths, np.arange(1, count + 1) / count, method="higher"):
        samples = -(-int(bound) // _SAMPLES_MULTIPLE) * _SAMPLES_MULTIPLE
        rows = batch_size
        if seconds_per_batch is not None:
            rows = max(1, int(seconds_per_batch * SAMPLE_RATE / samples))
        most_labels = max(1, int(labels[lengths <= bound].max()))
        buckets[samples] = Bucket(samples=samples, labels=most_labels, batch_size=rows)
    return tuple(buckets[samples] for samples in sorted(buckets))


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
    report: CorpusReport | None = None,
) -> tf.data.Dataset:
    """`batch_arrays` as a dataset, which makes batches while others are computed with."""
    arrays = batch_arrays(
        utterances,
        tokenizer,
        buckets=buckets,
        training=training,
        seed=seed,
        start=start,
        report=report,
    )
    signature = {
        "pcm": tf.TensorSpec([None, None], tf.float32),
        "pcm_length": tf.TensorSpec([None], tf.int32),
        "labels": tf.TensorSpec([None, None], tf.int32),
        "label_length": tf.TensorSpec([None], tf.int32),
        "index": tf.TensorSpec([None], tf.int32),
    }
    dataset = tf.data.Dataset.from_generator(arrays, output_signature=signature)
    # There is nothing to tune, and an iterator waits for the tuner, a minute at most, as it ends.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_PREFETCHED).with_options(options)


def batch_arrays(
    utterances: Utterances,
    tokenizer: Tokenizer,
    *,
    buckets: Sequence[Bucket],
    training: bool,
    seed: int = 0,
    start: int = 0,
    report: CorpusReport | None = None,
) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    """Batches of the utterances, each of the shape of the smallest bucket that it fits.

    A batch is a dict, of shapes fixed by its bucket (`batch` rows, N samples, U labels):

      `pcm`          float32 `[batch, N]` in [-1, 1], zeros after the end
      `pcm_length`   int32 `[batch]`, samples
      `labels`       int32 `[batch, U]`, zeros (the blank) after the end
      `label_length` int32 `[batch]`
      `index`        int32 `[batch]`, the place of the utterance among those that were decoded

    In training the utterances are shuffled anew every epoch and repeated for ever
    (`training_plan`). In evaluation each comes once, in order within a bucket, and the last batch
    of a bucket is filled up with empty rows of `index` -1 and lengths 0, which the caller leaves
    out.

    Utterances that fit in no bucket are left out.

    Args:
      utterances: the corpus; decoded here, and held in memory, unless it is `Recordings`.
      tokenizer: makes the labels.
      buckets: the shapes, from `make_buckets`.
      training: see above.
      seed: of the shuffling; the same seed gives the same batches.
      start: of training: how many batches were taken before; the following ones come.
      report: is told of what is left out; if not given, it is logged, and a file that cannot be
        decoded is an error.

    Returns:
      what to call for the batches from the first on.

    Raises:
      UserError: a text has a symbol outside the vocabulary, no utterance fits, or a file cannot be
        decoded.
    """
    if not buckets:
        raise UserError("`buckets` must hold at least one bucket. Received none.")
    if not utterances:
        raise UserError("`utterances` must hold at least one utterance. Received none.")
    buckets = sorted(buckets, key=lambda bucket: (bucket.samples, bucket.labels))
    said = report or CorpusReport()
    recordings = decoded(utterances, said)
    labels = [np.array(tokenizer.encode(u.text), np.int32) for u in recordings]
    bucket_of = _buckets_of(recordings, [row.size for row in labels], buckets, said)
    for line in said.lines() if report is None else ():
        logging.warning(line)
    rows = [bucket.batch_size for bucket in buckets]

    def generate() -> Iterator[dict[str, np.ndarray]]:
        if training:
            plan = training_plan(bucket_of, rows, seed, start)
        else:
            plan = evaluation_plan(bucket_of, rows)
        for bucket, places in plan:
            yield _batch(buckets[bucket], places, recordings.pcm(places), labels)

    return generate


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
        batch["pcm"][row, : pcm.size] = pcm / np.float32(INT16_SCALE)
        batch["pcm_length"][row] = pcm.size
        batch["labels"][row, : labels[place].size] = labels[place]
        batch["label_length"][row] = labels[place].size
        batch["index"][row] = place
    return batch


def _buckets_of(
    recordings: Recordings,
    label_counts: Sequence[int],
    buckets: Sequence[Bucket],
    report: CorpusReport,
) -> np.ndarray:
    """The smallest bucket that each utterance fits, -1 for those, told to the report, that fit in
    none."""
    fits = np.stack(
        [
            (recordings.lengths <= bucket.samples) & (np.array(label_counts) <= bucket.labels)
            for bucket in buckets
        ]
    )
    longest = buckets[-1].samples
    for place in np.flatnonzero(~fits.any(axis=0)):
        where = recordings[place].where
        seconds = recordings.lengths[place] / SAMPLE_RATE
        if recordings.lengths[place] > longest:
            report.leave_out(
                f"utterances longer than {longest / SAMPLE_RATE:.2f} s, the largest bucket",
                f"{where}: {seconds:.2f} s",
            )
        else:
            report.leave_out(
                "texts with more labels than buckets of their audio allow",
                f"{where}: {label_counts[place]} labels in {seconds:.2f} s",
            )
    if not fits.any():
        raise UserError(
            f"None of the {len(recordings)} utterances fits in a bucket; make the buckets from "
            f"this corpus. {report.first()}"
        )
    return np.where(fits.any(axis=0), fits.argmax(axis=0), -1)
