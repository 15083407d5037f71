"""Recognisers that requests share: each has an interpreter of its own, and threads that ask it."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server import refusals
from int4_conformer.server.uploaded_audio import Work

_Result = TypeVar("_Result")


class RecognizerPool:
    """Lends a recogniser to one file at a time, and to any number of streams.

    A stream keeps its state itself, in arrays, so that many streams can share a recogniser. Their
    steps are short and run in a thread beside the one of files: a step waits for a call of the
    model at most, however long a file is.

    Args:
        recognizers: of one model file.
        queue: how many files may wait.
        streams: how many streams there may be.
    """

    def __init__(self, recognizers: Sequence[Recognizer], *, queue: int, streams: int) -> None:
        self._recognizers = list(recognizers)
        self._most_waiting = queue
        self._most_streams = streams
        self._idle: asyncio.Queue[Recognizer] = asyncio.Queue()
        for recognizer in recognizers:
            self._idle.put_nowait(recognizer)
        self._file_threads = ThreadPoolExecutor(len(recognizers), "file", _give_way)
        self._stream_threads = [ThreadPoolExecutor(1, "stream") for _ in recognizers]
        self._streams_of = [0] * len(recognizers)
        # Files that wait.
        self.waiting = 0

    @property
    def facts(self) -> Recognizer:
        """One of them, to be asked what they have in common."""
        return self._recognizers[0]

    @property
    def streams(self) -> int:
        """How many there are."""
        return sum(self._streams_of)

    async def run(self, job: Callable[[Recognizer], _Result], work: Work) -> _Result:
        """Runs a job with a recogniser that nothing else hears a file with, when its turn comes.

        If it is cancelled, the job's work is stopped; it lasts until the job has noticed.

        Raises:
            RefusedError: too many wait.
        """
        if self._idle.empty() and self.waiting >= self._most_waiting:
            raise refusals.busy(
                "queue_full", f"{self.waiting} requests wait already; ask again later."
            )
        self.waiting += 1
        try:
            recognizer = await self._idle.get()
        finally:
            self.waiting -= 1
        try:
            return await _run(self._file_threads, lambda: job(recognizer), work.stop)
        finally:
            self._idle.put_nowait(recognizer)

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator["StreamPlace"]:
        """A place beside the recogniser that has the fewest streams.

        Raises:
            RefusedError: there are too many.
        """
        if self.streams >= self._most_streams:
            raise refusals.busy(
                "too_many_streams",
                f"{self._most_streams} streams are heard already; ask again later.",
            )
        index = min(range(len(self._streams_of)), key=self._streams_of.__getitem__)
        self._streams_of[index] += 1
        try:
            yield StreamPlace(self._recognizers[index], self._stream_threads[index])
        finally:
            self._streams_of[index] -= 1

    def close(self) -> None:
        """Ends the threads."""
        for threads in (self._file_threads, *self._stream_threads):
            threads.shutdown(wait=True, cancel_futures=True)


class StreamPlace:
    """A recogniser, and the thread in which its streams take their steps."""

    def __init__(self, recognizer: Recognizer, thread: ThreadPoolExecutor) -> None:
        self.recognizer = recognizer
        self._thread = thread

    async def run(self, step: Callable[[], _Result]) -> _Result:
        """Runs a step when its turn comes."""
        return await _run(self._thread, step)


def _give_way() -> None:
    """Has this thread give way to those of streams, whose speakers wait for words."""
    if sys.platform == "linux":
        # There, threads have a niceness of their own.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + 5)


async def _run(
    threads: ThreadPoolExecutor, job: Callable[[], _Result], stop: Callable[[], None] = lambda: None
) -> _Result:
    """A job's result. Threads cannot be cancelled: then it is told to stop, and waited for."""
    future = asyncio.get_running_loop().run_in_executor(threads, job)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait({future})
        if not future.cancelled():
            # Its error is nobody's any more.
            future.exception()
        raise
