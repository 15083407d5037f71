"""What a batch is; and the batches of an evaluation, which has each utterance once.

A batch is a dict, of shapes fixed by its bucket (`batch` rows, N samples, U labels):

    pcm           float32 [batch, N] in [-1, 1], zeros after the end
    pcm_length    int32 [batch], samples
    labels        int32 [batch, U], zeros (the blank) after the end
    label_length  int32 [batch]
    index         int32 [batch], the place of the utterance among those that were decoded, or -1

Training's batches come from `data.input_pipeline`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from int4_conformer.data.batch_plan import evaluation_plan
from int4_conformer.data.buckets import Bucket, bucket_of, report_misfits, sorted_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import INT16_SCALE, Recordings, decoded
from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import Tokenizer

# Batches that are made ahead.
_PREFETCHED = 2

Batch = Mapping[str, np.ndarray]
# Float32 samples and int32 labels of an utterance, and its place; -1 for a row that is none.
Row = tuple[np.ndarray, np.ndarray, int]


class LabelledRecordings:
    """Recordings of a corpus with the labels of their texts, in buckets.

    Args:
        utterances: the corpus; decoded here, and held in memory, unless it is `Recordings`.
        tokenizer: makes the labels, once.
        buckets: the shapes of batches, from `make_buckets`.
        report: is told of what is left out; if not given, it is logged, and a file that cannot be
            decoded is an error.

    Raises:
        UserError: a text has a symbol outside the vocabulary, no utterance fits in a bucket, or a
            file cannot be decoded.
    """

    def __init__(
        self,
        utterances: Utterances,
        tokenizer: Tokenizer,
        buckets: Sequence[Bucket],
        report: CorpusReport | None = None,
    ) -> None:
        self.buckets = sorted_buckets(buckets)
        if not utterances:
            raise UserError("`utterances` must hold at least one utterance. Received none.")
        said = report or CorpusReport()
        self.recordings: Recordings = decoded(utterances, said)
        labels = [np.array(tokenizer.encode(u.text), np.int32) for u in self.recordings]
        self.label_counts = np.array([row.size for row in labels], np.int64)
        # One array: a million small ones would take a hundred bytes more each.
        self.all_labels = np.concatenate(labels)
        self._ends = np.cumsum(self.label_counts)
        # Of each recording as it is, -1 for those that are left out.
        self.bucket_of = bucket_of(self.recordings.lengths, self.label_counts, self.buckets)
        report_misfits(self.recordings, self.label_counts, self.buckets, self.bucket_of, said)
        for line in said.lines() if report is None else ():
            logging.warning(line)

    def labels(self, place: int) -> np.ndarray:
        """int32 `[labels]` of a text."""
        end = self._ends[place]
        return self.all_labels[end - self.label_counts[place] : end]


def padded(bucket: Bucket, rows: Iterable[Row], size: int) -> dict[str, np.ndarray]:
    """Utterances as a batch; what is missing of its rows is empty.

    Args:
        bucket: that they fit.
        rows: of the batch.
        size: how many rows it has.
    """
    batch = {
        "pcm": np.zeros([size, bucket.samples], np.float32),
        "pcm_length": np.zeros([size], np.int32),
        "labels": np.zeros([size, bucket.labels], np.int32),
        "label_length": np.zeros([size], np.int32),
        "index": np.full([size], -1, np.int32),
    }
    for row, (pcm, labels, place) in enumerate(rows):
        batch["pcm"][row, : pcm.size] = pcm
        batch["pcm_length"][row] = pcm.size
        batch["labels"][row, : labels.size] = labels
        batch["label_length"][row] = labels.size
        batch["index"][row] = place
    return batch


def as_dataset(
    arrays: Callable[[], Iterator[Batch]], buckets: Sequence[Bucket], parts: int = 1
) -> tf.data.Dataset:
    """Batches as a dataset, which makes some while others are computed with.

    Args:
        arrays: what to call for them from the first on.
        buckets: their shapes; what all agree on is static.
        parts: equal parts that their rows are shared out in, of which these are one.
    """
    samples, labels, rows = (
        values.pop() if len(values := {getattr(b, name) for b in buckets}) == 1 else None
        for name in ("samples", "labels", "batch_size")
    )
    rows = rows and rows // parts
    signature = {
        "pcm": tf.TensorSpec([rows, samples], tf.float32),
        "pcm_length": tf.TensorSpec([rows], tf.int32),
        "labels": tf.TensorSpec([rows, labels], tf.int32),
        "label_length": tf.TensorSpec([rows], tf.int32),
        "index": tf.TensorSpec([rows], tf.int32),
    }
    dataset = tf.data.Dataset.from_generator(arrays, output_signature=signature)
    # There is nothing to tune, and an iterator waits for the tuner, a minute at most, as it ends.
    options = tf.data.Options()
    options.autotune.enabled = False
    # What comes is a part already, of a strategy that asks for parts.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(_PREFETCHED).with_options(options)


def evaluation_batches(
    utterances: Utterances,
    tokenizer: Tokenizer,
    *,
    buckets: Sequence[Bucket],
    report: CorpusReport | None = None,
) -> tf.data.Dataset:
    """`evaluation_arrays` as a dataset."""
    arrays = evaluation_arrays(utterances, tokenizer, buckets=buckets, report=report)
    return as_dataset(arrays, buckets)


def evaluation_arrays(
    utterances: Utterances,
    tokenizer: Tokenizer,
    *,
    buckets: Sequence[Bucket],
    report: CorpusReport | None = None,
) -> Callable[[], Iterator[Batch]]:
    """Batches that hold each utterance once, each of the shape of the smallest bucket that it fits.

    They come in order within a bucket, and the last batch of a bucket is filled up with empty rows
    of `index` -1 and lengths 0, which the caller leaves out. Utterances that fit in no bucket are
    left out.

    Args:
        utterances: as `LabelledRecordings` takes them, as the rest.
        tokenizer: makes the labels.
        buckets: the shapes.
        report: is told of what is left out.

    Returns:
        what to call for the batches from the first on.

    Raises:
        UserError: as `LabelledRecordings`.
    """
    corpus = LabelledRecordings(utterances, tokenizer, buckets, report)

    def generate() -> Iterator[Batch]:
        rows = [bucket.batch_size for bucket in corpus.buckets]
        for number, places in evaluation_plan(corpus.bucket_of, rows):
            bucket = corpus.buckets[number]
            recordings = zip(places, corpus.recordings.pcm(places), strict=True)
            heard = (
                (pcm / np.float32(INT16_SCALE), corpus.labels(place), place)
                for place, pcm in recordings
            )
            yield padded(bucket, heard, bucket.batch_size)

    return generate
