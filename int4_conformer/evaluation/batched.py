"""Word errors of a model that has not been exported."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batches import evaluation_arrays
from int4_conformer.data.buckets import Bucket, make_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.recordings import Recordings, decoded
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.text.writing import WORDS, Writing
from int4_conformer.xla import without_xla

# Padded audio in seconds that one shape may take: recognising it is sooner done than tracing the
# search for another shape (`tiny`: 5 s of one core, in which it hears 20 minutes).
_ONE_SHAPE_SECONDS = 600.0
# Padded audio in seconds from which on XLA, which takes 6 s longer to compile `tiny` for a shape,
# gains more than that: 2.5 s of one core in 1000 s of audio.
_XLA_SECONDS = 3600.0


class BatchedEvaluator:
    """Evaluates a model on one corpus in batches, again and again while it trains.

    The search is traced once for each shape of a batch, and compiled by XLA where there is so much
    audio that this pays. References are only scored, never encoded: they may hold symbols outside
    the vocabulary.

    Args:
        model: evaluated with the weights that it has at the call.
        vocabulary: what its output ids mean.
        utterances: the corpus; decoded here unless it is `Recordings`.
        buckets: most distinct batch shapes; a small corpus has one.
        seconds_per_batch: padded audio of a batch.
        passes: how many recognise; all if not given.
        calls: how often it is going to be called, about.
        recognize: samples float32 [batch, samples] and their lengths int32 [batch] -> the tokens;
            greedy search in the last pass if not given.
        writing: how the recogniser writes.

    Raises:
        UserError: a recording is longer than a batch.
    """

    def __init__(
        self,
        model: Transducer,
        vocabulary: Vocabulary,
        utterances: Utterances,
        *,
        buckets: int = 2,
        seconds_per_batch: float = 240.0,
        passes: int | None = None,
        calls: int = 1,
        recognize: Callable[[tf.Tensor, tf.Tensor], Tokens] | None = None,
        writing: Writing = WORDS,
    ):
        self._vocabulary = vocabulary
        self._writing = writing
        self._utterances = decoded(utterances)
        _require_short(self._utterances, seconds_per_batch)
        unlabelled = _Unlabelled()
        self._buckets, padded = _shapes(self._utterances, buckets, seconds_per_batch)
        self._batches = evaluation_arrays(self._utterances, unlabelled, buckets=self._buckets)
        if recognize is None:
            recognize = functools.partial(model.recognize, passes=passes)
        if padded * calls >= _XLA_SECONDS:
            self._recognize = tf.function(recognize, jit_compile=True, autograph=False)
        else:
            self._recognize = tf.function(_outside_xla(recognize), autograph=False)

    def compile(self, on_compile: Callable[[int, int], None] = lambda index, count: None) -> None:
        """Compiles for every shape now, so that the first call's `rtf` is of recognition alone.

        Args:
            on_compile: is told before each which it is, from 1 on, of how many.
        """
        for index, bucket in enumerate(self._buckets, start=1):
            on_compile(index, len(self._buckets))
            # Full of silence: where nothing is to be heard, nothing would be searched.
            pcm = tf.zeros([bucket.batch_size, bucket.samples])
            self._recognize(pcm, tf.fill([bucket.batch_size], bucket.samples))

    def __call__(self, on_utterance: Callable[[int], None] = lambda done: None) -> Evaluation:
        """Recognises the corpus; `on_utterance` is told how many are done."""
        start = time.perf_counter()
        hypotheses = [""] * len(self._utterances)
        audio = 0.0
        for done, (index, pcm_length, tokens) in enumerate(self._recognized(), start=1):
            audio += pcm_length / SAMPLE_RATE
            hypotheses[index] = self._vocabulary.detokenize(tokens)
            on_utterance(done)
        rtf = (time.perf_counter() - start) / audio
        return Evaluation.of(self._utterances, hypotheses, rtf, self._writing)

    def _recognized(self) -> Iterator[tuple[int, int, list[int]]]:
        for batch in self._batches():
            found = self._recognize(tf.constant(batch["pcm"]), tf.constant(batch["pcm_length"]))
            rows = zip(
                batch["index"],
                batch["pcm_length"],
                found.ids.numpy(),
                found.count.numpy(),
                strict=True,
            )
            for index, length, row, count in rows:
                if index >= 0:
                    yield index, length, row[:count].tolist()


class _Unlabelled:
    """Stands for the tokenizer where no labels are wanted."""

    def encode(self, text: str) -> list[int]:
        return []


def _require_short(recordings: Recordings, most: float) -> None:
    """Refuses recordings whose attention, of all frames to all frames, would not fit in memory."""
    if not len(recordings):
        return
    place = int(recordings.lengths.argmax())
    seconds = recordings.lengths[place] / SAMPLE_RATE
    if seconds > most:
        raise UserError(
            f"{recordings[place].where} has {seconds:.0f} s, and a model that is not exported "
            f"hears {most:g} s at most; evaluate its .tflite file, which hears any length, "
            "or cut the recording into utterances."
        )


def _shapes(
    recordings: Recordings, most: int, seconds_per_batch: float
) -> tuple[tuple[Bucket, ...], float]:
    """Buckets with no more rows than their share of the corpus fills, and the padded seconds of all
    batches together."""
    unlabelled = _Unlabelled()
    for count in (1, most):
        buckets = make_buckets(
            recordings, unlabelled, count=count, seconds_per_batch=seconds_per_batch
        )
        bounds = [bucket.samples for bucket in buckets]
        bucket_of = np.searchsorted(bounds, recordings.lengths)
        shares = np.bincount(bucket_of, minlength=len(buckets)).tolist()
        padded = np.dot(bounds, shares) / SAMPLE_RATE
        if padded <= _ONE_SHAPE_SECONDS:
            break
    return tuple(map(_filled, buckets, shares)), float(padded)


def _filled(bucket: Bucket, utterances: int) -> Bucket:
    """The bucket with as few rows as fit so many utterances in as few batches."""
    number = -(-utterances // bucket.batch_size)
    return dataclasses.replace(bucket, batch_size=-(-utterances // number))


def _outside_xla(recognize: Callable[..., Tokens]) -> Callable[..., Tokens]:
    def traced(*arguments: tf.Tensor) -> Tokens:
        with without_xla():
            return recognize(*arguments)

    return traced
