"""What training hears: batches of a corpus for ever, the same ones for the same seed.

Which utterances make which batch follows from the seed and the number of the batch alone
(`data.batch_plan`): a run that was stopped goes on with the batches that it would have seen, and
several pipelines that follow one plan each make their rows of it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from int4_conformer.data.batch_plan import Planned, training_plan
from int4_conformer.data.batches import Batch, LabelledRecordings, as_dataset, padded
from int4_conformer.data.buckets import Bucket
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.recordings import INT16_SCALE
from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import Tokenizer


class InputPipeline:
    """Makes the batches of a training (`data.batches` says what a batch is).

    Utterances are shuffled anew every epoch and repeated for ever; those that fit in no bucket are
    left out. Each batch has the shape of the smallest bucket that its utterances fit.

    Args:
        utterances: the corpus; decoded here, and held in memory, unless it is `Recordings`.
        tokenizer: makes the labels, once.
        buckets: the shapes of batches, from `make_buckets`.
        config: the rest; the same gives the same batches.
        report: is told of what is left out; if not given, it is logged, and a file that cannot be
            decoded is an error.

    Raises:
        UserError: a text has a symbol outside the vocabulary, no utterance fits in a bucket, or a
            file cannot be decoded.

    Example:

        >>> from int4_conformer.data.buckets import make_buckets
        >>> from int4_conformer.data.sources.synthetic import synthetic_corpus
        >>> from int4_conformer.text.graphemes import Graphemes
        >>> corpus = synthetic_corpus("train", 3)
        >>> buckets = make_buckets(corpus, Graphemes(), count=1, batch_size=2)
        >>> pipeline = InputPipeline(corpus, Graphemes(), buckets)
        >>> [len(batch["pcm"]) for batch in pipeline.dataset(start=100).take(3)]
        [2, 2, 2]
    """

    def __init__(
        self,
        utterances: Utterances,
        tokenizer: Tokenizer,
        buckets: Sequence[Bucket],
        config: InputConfig | None = None,
        report: CorpusReport | None = None,
    ) -> None:
        self._corpus = LabelledRecordings(utterances, tokenizer, buckets, report)
        self._config = config or InputConfig()

    @property
    def buckets(self) -> list[Bucket]:
        """The shapes of batches, in ascending order."""
        return self._corpus.buckets

    def plan(self, start: int = 0) -> Iterator[Planned]:
        """Which bucket and utterances make each batch, from the batch of number `start` on."""
        rows = [bucket.batch_size for bucket in self.buckets]
        return training_plan(lambda epoch: self._corpus.bucket_of, rows, self._config.seed, start)

    def dataset(
        self, start: int = 0, context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """The batches, without end.

        Args:
            start: how many were taken before; the following ones come.
            context: of several pipelines that make a batch together, which this is; it then gives
                its rows of each batch.

        Raises:
            UserError: the rows of a bucket cannot be shared out equally among the pipelines.
        """
        count = 1 if context is None else context.num_input_pipelines
        part = 0 if context is None else context.input_pipeline_id
        for bucket in self.buckets:
            if bucket.batch_size % count:
                raise UserError(
                    f"Batches of {bucket.batch_size} rows cannot be shared out equally among "
                    f"{count} input pipelines; make buckets of a multiple of that."
                )
        return as_dataset(lambda: self._batches(start, part, count), self.buckets, parts=count)

    def _batches(self, start: int, part: int, count: int) -> Iterator[Batch]:
        """Those rows of each batch that are a part of `count` equal ones."""
        for planned in self.plan(start):
            bucket = self.buckets[planned.bucket]
            size = bucket.batch_size // count
            places = planned.places[part * size : (part + 1) * size]
            rows = (
                (pcm / np.float32(INT16_SCALE), self._corpus.labels(place), place)
                for place, pcm in zip(places, self._corpus.recordings.pcm(places), strict=True)
            )
            yield padded(bucket, rows, size)
