"""What a run writes down as it goes: curves, evaluations, transcripts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.files import write_beside
from int4_conformer.quant.products.measured import WeightLosses
from int4_conformer.text.normalize import normalize
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
        self._summaries = tf.summary.create_file_writer(str(workdir.logs))

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
        for path, found in losses.items():
            self._scalars(
                "quantization",
                {
                    "step": metrics["step"],
                    f"weight_error/{path}": found.weight.error,
                    f"weight_clipped/{path}": found.weight.clipped,
                },
            )
            if found.activations is not None:
                self._scalars(
                    "quantization",
                    {
                        "step": metrics["step"],
                        f"activation_error/{path}": found.activations.error,
                        f"activation_clipped/{path}": found.activations.clipped,
                    },
                )
        if evaluation is None:
            return
        rows = [
            {
                "utterance": utterance.id,
                "speaker": utterance.speaker,
                "reference": normalize(utterance.text),
                "hypothesis": normalize(hypothesis),
            }
            for utterance, hypothesis in zip(utterances, evaluation.hypotheses, strict=True)
        ]
        content = "".join(f"{json.dumps(row)}\n" for row in rows)
        write_beside(self._folder / "transcripts.jsonl", content.encode())
        with self._summaries.as_default():
            tf.summary.text("transcripts", _table(rows[:_SAMPLES]), step=metrics["step"])

    def close(self) -> None:
        self._summaries.close()

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self._folder / name).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _scalars(self, group: str, values: Mapping[str, float | None]) -> None:
        with self._summaries.as_default():
            for name, value in values.items():
                # A run all of whose steps were skipped has no loss.
                if name != "step" and value is not None:
                    tf.summary.scalar(f"{group}/{name}", value, step=values["step"])


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [f"| {row['reference']} | {row['hypothesis']} |" for row in rows]
    return "\n".join(["| reference | recognised |", "|---|---|", *lines])
