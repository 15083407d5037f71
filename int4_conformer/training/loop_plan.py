"""Where loops of steps end."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from int4_conformer.data.batch_plan import Planned
from int4_conformer.training.training_config import TrainingConfig


class LoopPlan:
    """Divides the plan of batches into loops, between which the host looks after the run.

    A loop passes neither an evaluation nor the last step, and a batch of a shape that has to be
    compiled begins one of its own.

    Args:
        plan: of the batches that come.
        config: says how long loops are, and when the run is evaluated and ends.
        stops: other steps that no loop passes.
        stage_ends: given a step, the first one behind it that has another program for every shape.
        is_new: given a batch and the number of steps before it, whether its program is missing.
    """

    def __init__(
        self,
        plan: Iterator[Planned],
        config: TrainingConfig,
        *,
        stops: Sequence[int],
        stage_ends: Callable[[int], float],
        is_new: Callable[[Planned, int], bool],
    ):
        self._plan = plan
        self._config = config
        self._stops = stops
        self._stage_ends = stage_ends
        self._is_new = is_new
        # Batches that come next, as far as they were looked at.
        self._ahead: list[Planned] = []

    def next_loop(self, step: int) -> list[Planned]:
        """The batches of the loop that begins behind `step` steps."""
        every = self._config.evaluate_every
        stops = [
            step + self._config.steps_per_loop,
            self._config.steps,
            (step // every + 1) * every,
            self._stage_ends(step),
            *self._stops,
        ]
        count = min(stop for stop in stops if stop > step) - step
        self._ahead += itertools.islice(self._plan, max(0, count - len(self._ahead)))
        ahead = self._ahead[:count]
        new = [place for place, batch in enumerate(ahead) if self._is_new(batch, step)]
        # The first of a shape alone, others up to it.
        loop = ahead[: max(1, new[0])] if new else ahead
        del self._ahead[: len(loop)]
        return loop
