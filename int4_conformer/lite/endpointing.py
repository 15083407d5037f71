"""When a speaker has finished."""

import dataclasses
from typing import Literal

from int4_conformer.errors import require_positive

Endpoint = Literal["after_words", "in_noise", "without_words", "longest"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """After how many seconds an utterance ends; the first rule that holds ends it.

    A stream is silent where no word comes and nothing stands out from the noise of the room.
    """

    # Of silence behind words.
    after_words: float = 1.2
    # Behind words, where it is loud but no word comes.
    in_noise: float = 3.0
    # Of silence without any word before.
    without_words: float = 2.4
    # Of an utterance as a whole.
    longest: float = 30.0

    def __post_init__(self) -> None:
        require_positive(**dataclasses.asdict(self))

    def endpoint(
        self, *, length: float, since_word: float | None, since_active: float
    ) -> Endpoint | None:
        """The rule that ends an utterance now; None if it goes on.

        Args:
            length: seconds of the utterance so far.
            since_word: seconds since the end of the last word; None if there was none.
            since_active: seconds since there was last what may be speech.
        """
        if since_word is None:
            if since_active >= self.without_words:
                return "without_words"
        elif since_word >= self.in_noise:
            return "in_noise"
        elif min(since_word, since_active) >= self.after_words:
            return "after_words"
        return "longest" if length >= self.longest else None
