"""Batches that data workers make, in order."""

import collections
import concurrent.futures
import contextlib
import queue
import random
import socket
import time
from collections.abc import Iterator
from typing import BinaryIO

from int4_conformer.data.batches import Batch
from int4_conformer.data.service.wire import Message, receive, send
from int4_conformer.errors import UserError

# Connections to each worker: one makes a batch while another is sent.
_CONNECTIONS = 2
# Batches that each connection is asked for ahead.
_AHEAD = 2
# Seconds in which a dispatcher answers, and within which a worker comes where there is none.
_ANSWER_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0


class BatchClient:
    """Has data workers make the batches of a training.

    Args:
        dispatcher: host and port of who knows the workers.
        settings: of the training, as its workers' `build` takes them.
    """

    def __init__(self, dispatcher: tuple[str, int], settings: Message) -> None:
        self._dispatcher = dispatcher
        self._settings = settings

    def workers(self) -> list[str]:
        """Those that are there, as HOST:PORT.

        Raises:
            UserError: the dispatcher does not answer.
        """
        host, port = self._dispatcher
        try:
            with (
                socket.create_connection(self._dispatcher, timeout=_ANSWER_SECONDS) as connection,
                connection.makefile("rwb") as file,
            ):
                send(file, {"asks": "workers"}, {})
                return receive(file)[0]["workers"]
        except (OSError, EOFError) as error:
            raise UserError(
                f"No dispatcher answers at {host}:{port}; start one there with `int4-conformer "
                "data_worker --serve`, or leave --data_service out."
            ) from error

    def require_workers(self) -> int:
        """Waits until a worker is ready for the training, and tells how many there are.

        Raises:
            UserError: there is none, or it cannot make the training's batches.
        """
        with contextlib.closing(self._connected()):
            return len(self.workers())

    def batches(self, start: int, part: int, parts: int) -> Iterator[tuple[Batch, list[str]]]:
        """Batches from number `start` on, each with what was wrong with its recordings.

        Args:
            start: how many were taken before.
            part: the rows of each that are wanted.
            parts: equal ones, which each has.

        Raises:
            UserError: all workers have gone, and none comes.
        """
        count = _CONNECTIONS * max(1, len(self.workers()))
        idle: queue.SimpleQueue[_Connection | None] = queue.SimpleQueue()
        for _ in range(count):
            idle.put(None)

        def made(number: int) -> tuple[Batch, list[str]]:
            connection = idle.get()
            try:
                while True:
                    connection = connection or self._connected()
                    try:
                        return connection.batch(number, part, parts)
                    except (OSError, EOFError):
                        # A worker that has gone; another makes the same batch.
                        connection.close()
                        connection = None
            finally:
                idle.put(connection)

        numbers = iter(range(start, 1 << 62))
        pool = concurrent.futures.ThreadPoolExecutor(count)
        try:
            ahead = collections.deque(
                pool.submit(made, next(numbers)) for _ in range(_AHEAD * count)
            )
            while True:
                yield ahead.popleft().result()
                ahead.append(pool.submit(made, next(numbers)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            while not idle.empty():
                if (connection := idle.get()) is not None:
                    connection.close()

    def _connected(self) -> "_Connection":
        """A connection to any worker that answers."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            workers = self.workers()
            random.shuffle(workers)
            for worker in workers:
                with contextlib.suppress(OSError, EOFError):
                    return _Connection(worker, self._settings)
            if time.monotonic() > until:
                host, port = self._dispatcher
                raise UserError(
                    f"The dispatcher at {host}:{port} knows no data worker that answers; start "
                    f"some with `int4-conformer data_worker --dispatcher={host}:{port}`."
                )
            time.sleep(0.5)


class _Connection:
    """To a worker, which has built the training's pipeline by then."""

    def __init__(self, worker: str, settings: Message) -> None:
        host, _, port = worker.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS)
        # It reads a corpus first, and then may have much to do.
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._file: BinaryIO = self._socket.makefile("rwb")
        try:
            send(self._file, settings, {})
            answer, _ = receive(self._file)
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            self.close()
            raise UserError(answer["error"])

    def batch(self, number: int, part: int, parts: int) -> tuple[Batch, list[str]]:
        send(self._file, {"batch": number, "part": part, "parts": parts}, {})
        answer, arrays = receive(self._file)
        return arrays, answer["broken"]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()
