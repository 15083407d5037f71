"""The searches that a file can be asked for beside the greedy one within it."""

import functools
from collections.abc import Callable, Sequence

from int4_conformer.errors import UserError
from int4_conformer.lite.file_network import FileNetwork
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.scorer import Bias
from int4_conformer.search.table_scorers import NGramScorer, PhraseScorer
from int4_conformer.search.time_synchronous import TimeSynchronousSearch
from int4_conformer.tflite.metadata import Metadata


class FileSearches:
    """Makes searches; what `Recognizer` says of phrases and beams is theirs.

    Args:
        metadata: of the file.
        network: gives its prediction and joint networks; None if it has none.
    """

    def __init__(self, metadata: Metadata, network: Callable[[], FileNetwork] | None) -> None:
        self._metadata = metadata
        self._network = network and functools.cache(network)
        # Automata of long lists take a while to make.
        self._bias = functools.lru_cache(8)(self._new_bias)

    def __call__(
        self,
        phrases: Sequence[str] = (),
        only: bool = False,
        bonus: float = BIAS_SCORE,
        beam: BeamConfig | None = None,
        lm: NGramScorer | None = None,
    ) -> TimeSynchronousSearch | None:
        """What searches with a beam; None for the greedy search.

        Raises:
            UserError: they contradict each other, a phrase cannot be read or spelled, or the file
                is too old for them.
        """
        if isinstance(phrases, str):
            raise UserError(
                f"`phrases` must be a list of phrases. Received the string {phrases!r}."
            )
        if only and not phrases:
            raise UserError("With only=True nothing can be said without phrases; give some.")
        if not phrases and beam is None and lm is None:
            return None
        beam = beam or BeamConfig()
        if beam.full_sum:
            raise UserError("A file does not hold what full_sum needs; leave it out.")
        if self._metadata.spelling is None or self._network is None:
            raise UserError(
                "This file was exported before it had other searches than the greedy one; export "
                "the model again."
            )
        return TimeSynchronousSearch(
            network=self._network(),
            max_symbols_per_frame=self._metadata.max_symbols_per_frame,
            config=beam,
            bias=self._bias(tuple(phrases), only, bonus) if phrases else None,
            lm=lm,
        )

    def _new_bias(self, phrases: tuple[str, ...], only: bool, bonus: float) -> Bias:
        if only:
            return ClosedList(phrases, self._metadata.spelling)
        return PhraseScorer.of(phrases, self._metadata.spelling, bonus)
