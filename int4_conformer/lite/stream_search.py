"""A beam search over the segments of a stream."""

import numpy as np

from int4_conformer.search.time_synchronous import TimeSynchronousSearch, Token, commit

# Most tokens of a hypothesis that wait until the others agree.
_ROOM = 64


class StreamSearch:
    """One utterance of a stream, searched by a beam.

    Args:
        search: asks the last pass.
        commits: whether tokens are final once all hypotheses share them, or at the end alone.
    """

    def __init__(self, search: TimeSynchronousSearch, *, commits: bool = True):
        self._search = search
        self._commits = commits
        self.restart()

    def restart(self) -> None:
        """Begins the next utterance."""
        self._beam = self._search.start()
        self._frames = 0

    def hear(self, encoded: np.ndarray) -> list[Token]:
        """Tokens that are final after more frames, float32 [time, dim]."""
        self._beam = self._search.advance(encoded, self._beam, self._frames)
        self._frames += len(encoded)
        if not self._commits:
            return []
        tokens, self._beam = commit(self._beam, _ROOM)
        return tokens

    @property
    def waiting(self) -> list[Token]:
        """Tokens of the best hypothesis that are not final."""
        return list(self._beam[0].tokens)

    def finish(self) -> list[Token]:
        """The rest of the tokens at the end of the utterance."""
        ended = self._search.finish(self._beam)
        # Nothing waits any more.
        self._beam = self._search.start()
        return list(ended[0].tokens) if ended else []
