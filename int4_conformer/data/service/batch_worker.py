"""Makes batches for trainings that ask for them by number."""

import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

from int4_conformer.data.batch_plan import Planned
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.service.wire import Message, receive, send
from int4_conformer.errors import UserError

Build = Callable[[Message], InputPipeline]


class BatchWorker(socketserver.ThreadingTCPServer):
    """Serves batches of pipelines that it builds as trainings ask.

    Args:
        host: name or address that it listens on.
        port: likewise; 0 takes a free one.
        build: makes the pipeline of a training of its settings.

    Raises:
        OSError: it cannot listen there.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, build: Build) -> None:
        super().__init__((host, port), _Conversation)
        self._build = build
        self._lock = threading.Lock()
        # The last training's, which connects several times.
        self._built: tuple[str, InputPipeline] | None = None

    @property
    def port(self) -> int:
        return self.server_address[1]

    def pipeline(self, settings: Message) -> InputPipeline:
        """The pipeline of a training.

        Raises:
            UserError: it cannot be built, or is not that of the training.
        """
        key = json.dumps(settings, sort_keys=True)
        with self._lock:
            if self._built is None or self._built[0] != key:
                self._built = None
                pipeline = self._build(settings)
                if pipeline.fingerprint != settings["fingerprint"]:
                    raise UserError(
                        f"The data worker on {socket.gethostname()} finds another corpus at "
                        f"{settings['corpus']['manifest']} than the training does; give both the "
                        "same files and the same version of int4-conformer."
                    )
                self._built = key, pipeline
            return self._built[1]


class _Conversation(socketserver.StreamRequestHandler):
    """With a training: its settings, then numbers of batches, each of which is answered."""

    server: BatchWorker

    def handle(self) -> None:
        try:
            settings, _ = receive(self.rfile)
            try:
                pipeline = self.server.pipeline(settings)
            except UserError as error:
                send(self.wfile, {"error": str(error)}, {})
                return
            send(self.wfile, {"ready": True}, {})
            self._serve(pipeline)
        except (OSError, EOFError, ValueError, UserError):
            return

    def _serve(self, pipeline: InputPipeline) -> None:
        plan: Iterator[Planned] | None = None
        following = 0
        while True:
            asked, _ = receive(self.rfile)
            number = int(asked["batch"])
            if plan is None or number < following:
                plan, following = pipeline.plan(number), number
            while following <= number:
                planned = next(plan)
                following += 1
            batch, broken = pipeline.batch(planned, int(asked["part"]), int(asked["parts"]))
            send(self.wfile, {"broken": broken}, batch)


def register(dispatcher: tuple[str, int], port: int) -> socket.socket:
    """Makes a worker known to a dispatcher, for as long as the connection is there.

    Args:
        dispatcher: its host and port.
        port: that the worker listens on.

    Raises:
        UserError: no dispatcher answers.
    """
    host, number = dispatcher
    try:
        connection = socket.create_connection(dispatcher, timeout=10)
        with connection.makefile("rwb") as file:
            send(file, {"worker_port": port, "process": os.getpid()}, {})
            receive(file)
    except (OSError, EOFError) as error:
        raise UserError(
            f"No dispatcher answers at {host}:{number}; start one there with `int4-conformer "
            "data_worker --serve`."
        ) from error
    connection.settimeout(None)
    return connection
