"""Word errors of a recogniser on a corpus."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from int4_conformer.audio.files import SAMPLE_RATE
from int4_conformer.data.batches import Bucket, Utterances, batches
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.metrics import WordErrors, word_errors
from int4_conformer.text.normalize import normalize
from int4_conformer.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found."""

    errors: WordErrors
    # Recognised text of each utterance, in the corpus's order.
    hypotheses: tuple[str, ...]
    # Seconds of computing per second of audio.
    rtf: float


def evaluate(
    transcribe: Callable[[np.ndarray], str],
    utterances: Utterances,
    on_utterance: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Transcribes utterances one by one, as a device would.

    Decoding the audio files is not in the time; transcripts are normalised on both sides.

    Args:
        transcribe: float32 [samples] at 16 kHz -> text.
        utterances: the corpus.
        on_utterance: told how many are done.
    """
    hypotheses, audio, busy = [], 0.0, 0.0
    for done, utterance in enumerate(utterances, start=1):
        samples = utterance.samples()
        start = time.perf_counter()
        hypotheses.append(transcribe(samples))
        busy += time.perf_counter() - start
        audio += len(samples) / SAMPLE_RATE
        on_utterance(done)
    return Evaluation(
        errors=score(utterances, hypotheses), hypotheses=tuple(hypotheses), rtf=busy / audio
    )


class BatchedEvaluator:
    """Evaluates a model on one corpus in batches, again and again while it trains.

    The search is compiled by XLA once for each bucket.

    Args:
        model: evaluated with the weights that it has at the call.
        tokenizer: of the model.
        utterances: with normalised texts.
        buckets: batch shapes that hold every utterance.
    """

    def __init__(
        self,
        model: Transducer,
        tokenizer: Tokenizer,
        utterances: Utterances,
        buckets: Sequence[Bucket],
    ):
        self._vocabulary = tokenizer.vocabulary
        self._utterances = utterances
        self._batches = batches(utterances, tokenizer, buckets=buckets, training=False)
        self._recognize = tf.function(model.recognize, jit_compile=True)

    def __call__(self) -> Evaluation:
        start = time.perf_counter()
        hypotheses = [""] * len(self._utterances)
        audio = 0.0
        for index, pcm_length, tokens in self._recognized():
            audio += pcm_length / SAMPLE_RATE
            hypotheses[index] = self._vocabulary.detokenize(tokens)
        return Evaluation(
            errors=score(self._utterances, hypotheses),
            hypotheses=tuple(hypotheses),
            rtf=(time.perf_counter() - start) / audio,
        )

    def _recognized(self) -> Iterator[tuple[int, int, list[int]]]:
        for batch in self._batches:
            tokens, counts = self._recognize(batch["pcm"], batch["pcm_length"])
            rows = zip(
                batch["index"].numpy(), batch["pcm_length"].numpy(), tokens.numpy(), counts.numpy(),
                strict=True,
            )
            for index, length, row, count in rows:
                if index >= 0:
                    yield index, length, row[:count].tolist()


def score(utterances: Utterances, hypotheses: Sequence[str]) -> WordErrors:
    """Word errors after normalising both sides."""
    return word_errors(
        [normalize(utterance.text) for utterance in utterances],
        [normalize(hypothesis) for hypothesis in hypotheses],
    )
