"""The few shapes that batches have.

XLA compiles one program a shape. Utterances are therefore sorted into buckets of similar length,
and every batch has exactly the shape of its bucket.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.augmentation.augmentation_config import AugmentationConfig
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import Recordings, decoded
from int4_conformer.errors import UserError, require_at_least
from int4_conformer.text.tokenizer import Tokenizer

# Bounds in samples are multiples of this: 40 ms, four hops of 10 ms, which is one encoder frame.
_SAMPLES_MULTIPLE = 640


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
    augmentation: AugmentationConfig | None = None,
) -> tuple[Bucket, ...]:
    """Buckets with bounds at quantiles of the recordings' lengths, shortest first.

    Args:
      utterances: the corpus to fit; decoded here unless it is `Recordings`.
      tokenizer: gives the lengths in labels.
      count: most buckets to make; equal bounds fall together.
      batch_size: rows of every batch; or
      seconds_per_batch: padded audio of a batch, so that short utterances come in more rows.
      max_seconds: leave out longer utterances, which pipelines then drop.
      augmentation: what makes recordings longer, if anything does: the least speed that they are
        played at, and pauses.

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
    if augmentation is not None:
        pauses = augmentation.pauses(np.random.default_rng(0), len(recordings))
        lengths = stretched(lengths, augmentation.slowest) + pauses.sum(axis=1)
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


def stretched(lengths: np.ndarray, speed: np.ndarray | float) -> np.ndarray:
    """Samples of recordings that are played at some speed, int64 of the shape of `lengths`; one at
    least."""
    return np.maximum(1, np.rint(lengths / speed)).astype(np.int64)


def bucket_of(
    lengths: np.ndarray, label_counts: np.ndarray, buckets: Sequence[Bucket]
) -> np.ndarray:
    """The smallest bucket that each utterance fits, -1 for those that fit in none.

    Args:
      lengths: int [utterances], samples.
      label_counts: int [utterances].
      buckets: in ascending order.
    """
    fits = np.stack([(lengths <= b.samples) & (label_counts <= b.labels) for b in buckets])
    return np.where(fits.any(axis=0), fits.argmax(axis=0), -1)


def sorted_buckets(buckets: Sequence[Bucket]) -> list[Bucket]:
    """In ascending order.

    Raises:
      UserError: there are none.
    """
    if not buckets:
        raise UserError("`buckets` must hold at least one bucket. Received none.")
    return sorted(buckets, key=lambda bucket: (bucket.samples, bucket.labels))


def report_misfits(
    recordings: Recordings,
    label_counts: np.ndarray,
    buckets: Sequence[Bucket],
    found: np.ndarray,
    report: CorpusReport,
) -> None:
    """Tells a report of utterances that fit in no bucket.

    Args:
      recordings: the corpus.
      label_counts: int [utterances].
      buckets: in ascending order.
      found: of `bucket_of`.
      report: is told.

    Raises:
      UserError: none fits.
    """
    longest = buckets[-1].samples
    for place in np.flatnonzero(found < 0):
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
    if (found < 0).all():
        raise UserError(
            f"None of the {len(recordings)} utterances fits in a bucket; make the buckets from "
            f"this corpus. {report.first()}"
        )
