"""Steps whose loss or gradient was no good: counted, their batches kept, and too many in a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from int4_conformer.data.corpus import Utterances
from int4_conformer.files import write_json_lines
from int4_conformer.remote_path import AnyPath

# Skipped steps in a row after which a run goes back, or stops if it went back before.
PATIENCE = 5


class SkippedSteps:
    """Keeps account of the steps that a run has skipped.

    Args:
        folder: gets a manifest of the batch of each, `step-N.jsonl`.
        writes: whether it does.
        utterances: those trained on.
    """

    def __init__(self, folder: AnyPath, utterances: Utterances, writes: bool = True):
        self._folder = folder
        self._writes = writes
        self._utterances = utterances
        self.count = 0
        self.in_a_row = 0
        # Whether the run has gone back to a checkpoint because of them.
        self.went_back = False

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Takes what was kept with a checkpoint, by `facts`."""
        self.count = facts.get("skipped", 0)
        self.in_a_row = facts.get("skipped_in_a_row", 0)
        self.went_back = facts.get("went_back", False)

    @property
    def facts(self) -> dict[str, Any]:
        """What a run goes on with, as JSON values."""
        return {
            "skipped": self.count,
            "skipped_in_a_row": self.in_a_row,
            "went_back": self.went_back,
        }

    def good(self) -> None:
        """Notes a step that counts."""
        self.in_a_row = 0

    def bad(self, step: int, places: Sequence[int], loss: float, gradient_norm: float) -> str:
        """Notes a skipped step, keeps its batch, and says so.

        Args:
            step: its number, counted from 1.
            places: of its utterances, -1 for none.
            loss: of the batch.
            gradient_norm: of the batch.

        Returns:
            a sentence for the user.
        """
        self.count += 1
        self.in_a_row += 1
        file = self._folder / f"step-{step}.jsonl"
        if self._writes:
            kept = (self._utterances[place] for place in places if place >= 0)
            write_json_lines(file, map(_row, kept))
        return (
            f"step {step} is skipped: loss {loss:.4g}, gradient norm {gradient_norm:.4g} "
            f"({self.count} skipped so far); its batch is in {file}"
        )

    @property
    def too_many(self) -> bool:
        return self.in_a_row >= PATIENCE


def _row(utterance: Any) -> dict[str, Any]:
    """A line of a manifest; what is synthesised has no file, but a name."""
    row = {
        "audio": getattr(utterance, "audio", utterance.id),
        "text": utterance.text,
        "duration": utterance.duration,
        "speaker": utterance.speaker,
    }
    offset = getattr(utterance, "offset", None)
    return row if offset is None else row | {"offset": offset}
