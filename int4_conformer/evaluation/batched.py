"""Word errors of a model that has not been exported."""

import functools
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batches import batches, make_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.evaluation.one_by_one import Evaluation, score
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.vocabulary import Vocabulary


class BatchedEvaluator:
    """Evaluates a model on one corpus in batches, again and again while it trains.

    The search is compiled by XLA once for each bucket. References are only scored, never encoded:
    they may hold symbols outside the vocabulary.

    Args:
        model: evaluated with the weights that it has at the call.
        vocabulary: what its output ids mean.
        utterances: the corpus.
        buckets: most distinct batch shapes.
        seconds_per_batch: padded audio of a batch.
        passes: how many recognise; all if not given.
        recognize: samples float32 [batch, samples] and their lengths int32 [batch] -> the tokens;
            greedy search in the last pass if not given.
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
        recognize: Callable[[tf.Tensor, tf.Tensor], Tokens] | None = None,
    ):
        self._vocabulary = vocabulary
        self._utterances = utterances
        unlabelled = _Unlabelled()
        self._buckets = make_buckets(
            utterances, unlabelled, count=buckets, seconds_per_batch=seconds_per_batch
        )
        self._batches = batches(utterances, unlabelled, buckets=self._buckets, training=False)
        if recognize is None:
            recognize = functools.partial(model.recognize, passes=passes)
        self._recognize = tf.function(recognize, jit_compile=True, autograph=False)

    def compile(self) -> None:
        """Compiles for every bucket now, so that the first call's `rtf` is of recognition alone."""
        for bucket in self._buckets:
            pcm = tf.zeros([bucket.batch_size, bucket.samples])
            self._recognize(pcm, tf.zeros([bucket.batch_size], tf.int32))

    def __call__(self, on_utterance: Callable[[int], None] = lambda done: None) -> Evaluation:
        """Recognises the corpus; `on_utterance` is told how many are done."""
        start = time.perf_counter()
        hypotheses = [""] * len(self._utterances)
        audio = 0.0
        for done, (index, pcm_length, tokens) in enumerate(self._recognized(), start=1):
            audio += pcm_length / SAMPLE_RATE
            hypotheses[index] = self._vocabulary.detokenize(tokens)
            on_utterance(done)
        return Evaluation(
            errors=score(self._utterances, hypotheses),
            hypotheses=tuple(hypotheses),
            rtf=(time.perf_counter() - start) / audio,
        )

    def _recognized(self) -> Iterator[tuple[int, int, list[int]]]:
        for batch in self._batches:
            found = self._recognize(batch["pcm"], batch["pcm_length"])
            rows = zip(
                batch["index"].numpy(),
                batch["pcm_length"].numpy(),
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
