"""What all parts of a server share."""

import asyncio
import dataclasses
import re

from int4_conformer.errors import UserError
from int4_conformer.server.limits import Limits
from int4_conformer.server.model_facts import ModelFacts
from int4_conformer.server.recognizer_pool import RecognizerPool
from int4_conformer.server.server_metrics import ServerMetrics

# What headers, and names of WebSocket protocols, can hold.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask, and what is told of it."""

    # That clients have to know; None: anyone who can reach the server may ask.
    token: str | None = None
    # Of pages that may ask besides those of the server itself, such as "https://example.org".
    origins: tuple[str, ...] = ()
    # Whether logs hold what was said.
    log_words: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise UserError(
                "A token must have 8 characters or more, of letters, digits and . _ ~ - alone. "
                f"Received: one of {len(self.token)} characters"
            )


class Service:
    """A model that is served.

    Args:
        pool: hears what is sent.
        facts: about the model.
        limits: what is taken on.
        access: who may ask.
    """

    def __init__(
        self, pool: RecognizerPool, facts: ModelFacts, limits: Limits, access: Access
    ) -> None:
        self.pool = pool
        self.facts = facts
        self.limits = limits
        self.access = access
        self.metrics = ServerMetrics(pool)
        # Requests and WebSockets that have begun and not ended.
        self.active = 0
        # Of bodies that have come, and whose requests have not ended.
        self.body_bytes = 0
        # Whether the server was told to end: what was accepted is finished, and nothing begins.
        self.is_ending = False
        # Set when what was accepted has had its time, too.
        self.time_is_over = asyncio.Event()
