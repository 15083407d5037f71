"""Knows which data workers there are."""

import socket
import socketserver
import threading

from int4_conformer.data.service.wire import receive, send
from int4_conformer.errors import UserError


class Dispatcher(socketserver.ThreadingTCPServer):
    """Tells trainings where workers are, as long as those stay connected.

    Args:
        host: name or address that it listens on.
        port: likewise; 0 takes a free one.

    Raises:
        OSError: it cannot listen there.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), _Conversation)
        self._lock = threading.Lock()
        self._workers: dict[str, int] = {}

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def workers(self) -> list[str]:
        """Those that are connected, as HOST:PORT."""
        with self._lock:
            return sorted(self._workers)

    def change(self, worker: str, by: int) -> None:
        """Counts the connections of a worker."""
        with self._lock:
            count = self._workers.pop(worker, 0) + by
            if count > 0:
                self._workers[worker] = count


class _Conversation(socketserver.StreamRequestHandler):
    """With a worker, which stays, or a training, which asks once."""

    server: Dispatcher

    def handle(self) -> None:
        try:
            message, _ = receive(self.rfile)
            if "worker_port" not in message:
                send(self.wfile, {"workers": self.server.workers}, {})
                return
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            worker = f"{self.client_address[0]}:{int(message['worker_port'])}"
            self.server.change(worker, 1)
            try:
                send(self.wfile, {"registered": worker}, {})
                # Until it goes; it says nothing more.
                self.rfile.read(1)
            finally:
                self.server.change(worker, -1)
        except (OSError, EOFError, ValueError, UserError):
            return
