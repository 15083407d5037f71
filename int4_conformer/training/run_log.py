"""What a run writes down as it goes: curves, evaluations, transcripts."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.files import append_json_line, write_json_lines
from int4_conformer.quant.products.measured import WeightLosses
from int4_conformer.training.workdir import Workdir

# Of an evaluation, shown by TensorBoard.
_SAMPLES = 10


class RunLog:
    """Writes TensorBoard's logs, `progress.jsonl`, `metrics.jsonl` and `transcripts.jsonl`.

    Args:
        workdir: of the run.
    """

    def __init__(self, workdir: Workdir):
        self._folder = workdir.path
        self._writes = workdir.writes
        if self._writes:
            self._summaries = tf.summary.create_file_writer(str(workdir.logs))
        else:
            self._summaries = tf.summary.create_noop_writer()

    def point(self, point: Mapping[str, float]) -> None:
        """Adds a point to the curves of training; `point` holds its "step"."""
        self._append("progress.jsonl", point)
        self._scalars("train", point)

    def evaluation(
        self,
        metrics: Mapping[str, float],
        utterances: Utterances,
        evaluation: Evaluation | None,
        losses: Mapping[str, WeightLosses],
    ) -> None:
        """Adds an evaluation.

        Args:
            metrics: its "step", and figures; word error rates are fractions.
            utterances: the dev set.
            evaluation: of the last pass; None without a dev set.
            losses: by weight, what quantization costs.
        """
        self._append("metrics.jsonl", metrics)
        self._scalars("evaluation", metrics)
        costs = {"step": metrics["step"]}
        for path, found in losses.items():
            for kind, loss in (("weight", found.weight), ("activation", found.activations)):
                if loss is not None:
                    costs[f"{kind}_error/{path}"] = loss.error
                    costs[f"{kind}_clipped/{path}"] = loss.clipped
        self._scalars("quantization", costs)
        if evaluation is None or not self._writes:
            return
        rows = [
            {
                "utterance": utterance.id,
                "speaker": utterance.speaker,
                "reference": evaluation.writing.of(utterance.text),
                "hypothesis": evaluation.writing.of(hypothesis),
            }
            for utterance, hypothesis in zip(utterances, evaluation.hypotheses, strict=True)
        ]
        write_json_lines(self._folder / "transcripts.jsonl", rows)
        with self._summaries.as_default():
            tf.summary.text("transcripts", _table(rows[:_SAMPLES]), step=metrics["step"])

    def close(self) -> None:
        self._summaries.close()

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        if self._writes:
            append_json_line(self._folder / name, row)

    def _scalars(self, group: str, values: Mapping[str, float | None]) -> None:
        with self._summaries.as_default():
            for name, value in values.items():
                # A run all of whose steps were skipped has no loss.
                if name != "step" and value is not None:
                    tf.summary.scalar(f"{group}/{name}", value, step=values["step"])


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [f"| {row['reference']} | {row['hypothesis']} |" for row in rows]
    return "\n".join(["| reference | recognised |", "|---|---|", *lines])
