"""What a server takes on; plain Python, for its flags and docs."""

import dataclasses

from int4_conformer.errors import require_at_least, require_positive
from int4_conformer.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What is more, is refused."""

    workers: int = setting(
        2, "Recognisers, each with an interpreter of its own; as many files are heard at once."
    )
    num_threads: int = setting(1, "CPU threads of each recogniser.")
    connections: int = setting(1000, "Most connections at once.")
    requests: int = setting(256, "Most requests at once: being read, waiting or being answered.")
    queue: int = setting(128, "Most requests that wait for a recogniser.")
    streams: int = setting(64, "Most WebSockets at once.")
    body_megabytes: float = setting(25.0, "Largest body of a request, in millions of bytes.")
    bodies_megabytes: float = setting(
        1000.0,
        "Most of the bodies of all requests together, in millions of bytes; they lie in memory or "
        "on disk.",
    )
    audio_seconds: float = setting(
        1800.0, "Longest recording; of a request with several rows, all of them together."
    )
    stream_seconds: float = setting(3600.0, "Longest audio of a WebSocket.")
    read_seconds: float = setting(
        30.0, "Longest wait for a request to arrive, and for a client to take its answer."
    )
    idle_seconds: float = setting(30.0, "Longest time that a WebSocket may send nothing.")
    answer_seconds: float = setting(300.0, "Longest time until a request is answered.")
    drain_seconds: float = setting(
        30.0, "Longest time for what was accepted, once the server was told to end."
    )

    def __post_init__(self) -> None:
        counts = ("workers", "num_threads", "connections", "requests", "streams")
        require_at_least(1, **{name: getattr(self, name) for name in counts})
        require_at_least(0, queue=self.queue)
        others = [
            field.name for field in dataclasses.fields(self) if field.name not in (*counts, "queue")
        ]
        require_positive(**{name: getattr(self, name) for name in others})

    @property
    def body_bytes(self) -> int:
        """Of a request's body."""
        return int(self.body_megabytes * 1_000_000)

    @property
    def bodies_bytes(self) -> int:
        """Of those of all requests at once."""
        return int(self.bodies_megabytes * 1_000_000)
