"""What training hears: batches of a corpus for ever, the same ones for the same seed.

Which utterances make which batch follows from the seed and the number of the batch alone
(`data.batch_plan`): a run that was stopped goes on with the batches that it would have seen, and
several pipelines that follow one plan each make their rows of it.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from int4_conformer.cores import available_cores
from int4_conformer.data.augmentation.augmenter import Augmenter
from int4_conformer.data.batch_plan import Planned, training_plan
from int4_conformer.data.batches import Batch, LabelledRecordings, Row, as_dataset, padded
from int4_conformer.data.buckets import Bucket, bucket_of, stretched
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.recordings import INT16_SCALE
from int4_conformer.data.sources.entry import UNREADABLE_AUDIO
from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import Tokenizer

# Recordings that may turn out to be broken: so many, or else this share of those drawn.
_FEW_BROKEN, _MOST_BROKEN = 10, 0.05


class BatchService(Protocol):
    """Makes batches elsewhere."""

    def batches(self, start: int, part: int, parts: int) -> Iterator[tuple[Batch, list[str]]]:
        """What `InputPipeline.batch` gives for each batch of its plan, from `start` on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Played:
    """How an epoch's utterances are heard."""

    # float64 [utterances].
    speeds: np.ndarray
    # Samples before and behind them, int64 [utterances, 2].
    pauses: np.ndarray
    # That each is in, int [utterances].
    buckets: np.ndarray


class InputPipeline:
    """Makes the batches of a training (`data.batches` says what a batch is).

    Utterances are shuffled anew every epoch and repeated for ever; those that fit in no bucket are
    left out. Each batch has the shape of the smallest bucket that its utterances fit, at the speed
    and with the pauses that they are heard with. A recording that cannot be decoded when it has its
    turn, or is not as long as was known before, is silence without a word then.

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
        self._augmenter = Augmenter(self._config, self._config.seed)
        # Of an epoch; a bucket that fills slowly has utterances of earlier ones.
        self._played = functools.lru_cache(maxsize=4)(self._drawn)
        # Decoding, resampling and Fourier transforms release the interpreter's lock.
        self._pool = concurrent.futures.ThreadPoolExecutor(available_cores())
        self._service: BatchService | None = None
        # Recordings that were left out when they were drawn, and what ended a data set.
        self.left_out = CorpusReport("skip")
        self.failure: UserError | None = None

    @property
    def buckets(self) -> list[Bucket]:
        """The shapes of batches, in ascending order."""
        return self._corpus.buckets

    @property
    def fingerprint(self) -> str:
        """What tells pipelines apart that make other batches."""
        corpus, config = self._corpus, dataclasses.asdict(self._config)
        elsewhere = ("cache", "cache_folder", "data_service")
        facts = {name: value for name, value in config.items() if name not in elsewhere}
        digest = hashlib.sha256(f"{facts} {self.buckets}".encode())
        for values in (corpus.recordings.lengths, corpus.label_counts, corpus.all_labels):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def plan(self, start: int = 0) -> Iterator[Planned]:
        """Which bucket and utterances make each batch, from the batch of number `start` on."""
        rows = [bucket.batch_size for bucket in self.buckets]
        return training_plan(self._buckets_in, rows, self._config.seed, start)

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

    def batch(self, planned: Planned, part: int = 0, parts: int = 1) -> tuple[Batch, list[str]]:
        """A batch of the plan, and why rows of it are silence.

        Args:
            planned: the batch.
            part: of its rows, that are wanted.
            parts: equal ones, that each batch has.
        """
        bucket = self.buckets[planned.bucket]
        size = bucket.batch_size // parts
        rows = range(part * size, (part + 1) * size)
        found = list(self._pool.map(functools.partial(self._row, planned), rows))
        broken = [str(error) for _, error in found if error is not None]
        return padded(bucket, (row for row, _ in found), size), broken

    def made_by(self, service: "BatchService") -> None:
        """Has others make the batches, from now on."""
        self._service = service

    def _batches(self, start: int, part: int, parts: int) -> Iterator[Batch]:
        """Those rows of each batch that are a part of equal ones."""
        if self._service is not None:
            made = self._service.batches(start, part, parts)
        else:
            made = (self.batch(planned, part, parts) for planned in self.plan(start))
        drawn = 0
        try:
            for batch, broken in made:
                drawn += len(batch["pcm"])
                for sentence in broken:
                    self._leave_out(sentence, drawn)
                yield batch
        except UserError as error:
            # Through tf.data it comes as an error of TensorFlow's.
            self.failure = error
            raise

    def _row(self, planned: Planned, row: int) -> tuple[Row, UserError | None]:
        """A row of the whole batch; silence, and why, where there is none."""
        place, epoch = planned.places[row], int(planned.epochs[row])
        bucket = self.buckets[planned.bucket]
        try:
            pcm = self._corpus.recordings.drawn(place)
        except UserError as error:
            return self._silence(place, bucket), error
        played = self._played(epoch)
        samples = self._augmenter(
            pcm / np.float32(INT16_SCALE),
            speed=float(played.speeds[place]),
            pauses=tuple(played.pauses[place].tolist()),
            batch=planned.number,
            row=row,
        )
        if samples.size > bucket.samples:
            where = self._corpus.recordings[place].where
            return self._silence(place, bucket), UserError(
                f"{where} is longer than its header says, and than its batch; encode it again."
            )
        return (samples, self._corpus.labels(place), place), None

    def _silence(self, place: int, bucket: Bucket) -> Row:
        length = min(int(self._corpus.recordings.lengths[place]), bucket.samples)
        return np.zeros(length, np.float32), np.zeros(0, np.int32), -1

    def _leave_out(self, sentence: str, drawn: int) -> None:
        """Counts a recording; stops where it is not a few that are broken, but all that they lie
        on."""
        self.left_out.fault(UNREADABLE_AUDIO, sentence)
        if self.left_out.left_out > max(_FEW_BROKEN, _MOST_BROKEN * drawn):
            raise UserError(
                f"{self.left_out.left_out} of {drawn} recordings cannot be used, the last because: "
                f"{sentence}"
            )

    def _drawn(self, epoch: int) -> _Played:
        """What would be too long has no pauses, or else its own speed."""
        lengths = self._corpus.recordings.lengths
        seed, count = self._config.seed, len(lengths)
        speeds = self._config.speeds(np.random.default_rng([seed, epoch, 1]), count)
        pauses = self._config.pauses(np.random.default_rng([seed, epoch, 2]), count)
        longer = stretched(lengths, speeds)
        pauses = np.where(self._fits(longer + pauses.sum(axis=1))[:, None], pauses, 0)
        speeds = np.where(self._fits(longer), speeds, 1.0)
        lengths = stretched(lengths, speeds) + pauses.sum(axis=1)
        return _Played(speeds=speeds, pauses=pauses, buckets=self._bucket_of(lengths))

    def _fits(self, lengths: np.ndarray) -> np.ndarray:
        return self._bucket_of(lengths) >= 0

    def _bucket_of(self, lengths: np.ndarray) -> np.ndarray:
        return bucket_of(lengths, self._corpus.label_counts, self.buckets)

    def _buckets_in(self, epoch: int) -> np.ndarray:
        """Of each utterance in an epoch, int [utterances]."""
        return self._played(epoch).buckets
