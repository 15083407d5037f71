"""What a run finds out about its model from time to time."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.models.transducer import Transducer
from int4_conformer.progress import Progress
from int4_conformer.quant.products.measured import WeightLosses, measured
from int4_conformer.text.tokenizer import Tokenizer

# By metric; the last pass comes first, whose evaluation is the run's.
_NAMES = {
    "dev_wer": "dev WER",
    "dev_wer_as_written": "as written",
    "dev_wer_first_pass": "of the first pass",
}

# Utterances on which the cost of quantization is measured.
_MEASURED_ROWS = 2


class DevEvaluation:
    """Counts the word errors of each pass on the dev set.

    Args:
        model: evaluated with the weights that it has at the call.
        tokenizer: of the run.
        dev: the dev set, texts normalised; may be empty.
        buckets: most distinct batch shapes.
        calls: how often it is going to be called, about.
    """

    def __init__(
        self,
        model: Transducer,
        tokenizer: Tokenizer,
        dev: Utterances,
        *,
        buckets: int,
        calls: int,
    ):
        self._count = len(dev)
        self._is_compiled = False
        passes = {"dev_wer": None}
        if model.second_pass is not None:
            passes["dev_wer_first_pass"] = 1
        self._evaluators = {
            metric: BatchedEvaluator(
                model,
                tokenizer.vocabulary,
                dev,
                buckets=buckets,
                passes=count,
                calls=calls,
                writing=tokenizer.writing,
            )
            for metric, count in passes.items()
            if dev
        }

    def __call__(self, progress: Progress) -> dict[str, Evaluation]:
        """The evaluation of each pass by the name of its metric; none without a dev set."""
        found = {}
        for metric, evaluator in self._evaluators.items():
            if not self._is_compiled:
                with progress.during("compiling the search") as note:
                    evaluator.compile(
                        lambda index, count, note=note: note(f"shape {index} of {count}")
                    )
            with progress.during(f"evaluating on {self._count:,} utterances") as note:
                found[metric] = evaluator(lambda done, note=note: note(f"{done:,} done"))
        self._is_compiled = True
        return found


def word_error_rates(evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """What `DevEvaluation` found, by metric; also in texts as written, if these are learned."""
    rates = {metric: found.errors.wer for metric, found in evaluations.items()}
    last = evaluations.get("dev_wer")
    if last is not None and last.written is not None:
        rates["dev_wer_as_written"] = last.written.wer
    return rates


def quantization_losses(
    model: Transducer, batch: Mapping[str, tf.Tensor]
) -> dict[str, WeightLosses]:
    """What quantization costs each weight, on a few utterances of a batch."""
    with measured() as found:
        model({name: value[:_MEASURED_ROWS] for name, value in batch.items()})
    return found


def evaluation_line(metrics: Mapping[str, Any]) -> str:
    """An evaluation as a line for people, word errors in percent."""
    parts = [f"step {metrics['step']}"]
    if metrics["loss"] is not None:
        parts.append(f"loss {metrics['loss']:.4g}")
    parts += [f"{_NAMES[key]} {100 * metrics[key]:.2f}%" for key in _NAMES if key in metrics]
    return "  ".join(parts)
