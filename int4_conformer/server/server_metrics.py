"""What a server counts, for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from int4_conformer.server.recognizer_pool import RecognizerPool

_PREFIX = "int4_conformer_"
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class ServerMetrics:
    """The figures of one server; each has a registry of its own.

    Args:
        pool: is asked how many wait and stream.
    """

    def __init__(self, pool: RecognizerPool) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            f"{_PREFIX}requests",
            "Requests that have ended, WebSockets among them.",
            ("endpoint", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            f"{_PREFIX}request_seconds",
            "From the head of a request to the end of its answer.",
            ("endpoint",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.audio = Counter(
            f"{_PREFIX}audio_seconds",
            "Audio that was heard.",
            ("endpoint",),
            registry=registry,
        )
        self.waited = Histogram(
            f"{_PREFIX}queue_seconds",
            "Wait for a recogniser.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.recognized = Histogram(
            f"{_PREFIX}recognition_seconds",
            "Decoding and recognition of a file.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.response = Histogram(
            f"{_PREFIX}stream_response_seconds",
            "From the end of a stream's audio to its last words.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.refused = Counter(
            f"{_PREFIX}refused",
            "Requests that were refused, by the code of the error.",
            ("code",),
            registry=registry,
        )
        self.active = Gauge(
            f"{_PREFIX}active_requests", "Requests and WebSockets at once.", registry=registry
        )
        waiting = Gauge(f"{_PREFIX}waiting_requests", "Of them, that wait.", registry=registry)
        waiting.set_function(lambda: pool.waiting)
        streams = Gauge(f"{_PREFIX}streams", "Of them, WebSockets.", registry=registry)
        streams.set_function(lambda: pool.streams)
        ProcessCollector(registry=registry)

    def page(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
