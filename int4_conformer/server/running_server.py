"""Runs an application until it is told to end, and lets it finish what it has accepted."""

import contextlib
import socket
import ssl
import time
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from int4_conformer.errors import UserError
from int4_conformer.server import connections, json_logs
from int4_conformer.server.service import Service

# For the last words of streams that are ended.
LAST_SECONDS = 5.0
# For connections that nothing is asked on any more.
_KEPT_SECONDS = 5
# What one message of a WebSocket may hold: half a minute at 16 kHz.
_MESSAGE_BYTES = 1 << 20


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; of port 0 the system chooses one.

    Raises:
        UserError: there is no such address, or something else listens there.
    """
    listening = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio turns off Nagle's delay, 40 ms an answer, of sockets that say they are TCP.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(512)
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        if listening is not None:
            listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"The server cannot listen at {host}, port {port} ({reason}); give another --host or "
            "--port."
        ) from error


def require_tls(certificate: str, key: str) -> None:
    """Checks the files of TLS.

    Raises:
        UserError: they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password: none is asked for on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"The certificate {certificate} with the key {key} cannot be used ({reason}); give a "
            "PEM file of each, the key without a password."
        ) from error


class RunningServer(uvicorn.Server):
    """Serves a service.

    At SIGTERM or Ctrl-C it takes nothing new, answers what it has accepted, and ends; at a second
    one it ends at once.

    Args:
        service: that is served.
        application: which answers for it.
        certificate, key: PEM files of TLS; None: without.
    """

    def __init__(
        self,
        service: Service,
        application: Starlette,
        *,
        certificate: str | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=connections.http_protocol(service.limits),
                ws=connections.websocket_protocol(service.limits),
                ws_max_size=_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                # Clients that have gone are those that send nothing.
                ws_ping_interval=None,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                timeout_keep_alive=_KEPT_SECONDS,
                timeout_graceful_shutdown=_KEPT_SECONDS,
            )
        )
        self._service = service
        self._end_by: float | None = None

    def serve_at(self, listening: socket.socket) -> None:
        """Serves at a socket of `bound`, until the process is told to end."""
        with contextlib.closing(self._service.pool):
            self.run(sockets=[listening])
        json_logs.log("ended")

    def end(self) -> None:
        """Has it end once what it has accepted is answered."""
        if not self._service.is_ending:
            self._service.is_ending = True
            self._end_by = time.monotonic() + self._service.limits.drain_seconds
            json_logs.log("ending", active=self._service.active)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What signals are told to."""
        if self._service.is_ending:
            super().handle_exit(sig, frame)
        else:
            self.end()

    async def on_tick(self, counter: int) -> bool:
        """Looks ten times a second whether it may end."""
        if self._end_by is not None:
            late = time.monotonic() - self._end_by
            if late > 0:
                self._service.time_is_over.set()
            if not self._service.active or late > LAST_SECONDS:
                self.should_exit = True
        return await super().on_tick(counter)
