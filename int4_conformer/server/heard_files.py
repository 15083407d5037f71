"""Recognises what was sent whole, with a recogniser of the pool, and notes what that took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from starlette.requests import Request

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server import refusals
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Service
from int4_conformer.server.uploaded_audio import Work

_Result = TypeVar("_Result")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


async def hear(
    service: Service,
    noted: dict[str, Any],
    work: Work,
    job: Callable[[Recognizer], _Result],
) -> _Result:
    """Runs a job with a recogniser of the pool, within the time that there is.

    Args:
        service: whose pool it is.
        noted: gets the seconds that it waited and took.
        work: is stopped where nobody waits any more.
        job: decodes and recognises.

    Raises:
        RefusedError: too many wait, or it takes too long.
    """
    begun = time.monotonic()

    def timed(recognizer: Recognizer) -> _Result:
        started = time.monotonic()
        noted["queue_seconds"] = round(started - begun, 4)
        service.metrics.waited.observe(started - begun)
        work.look()
        found = job(recognizer)
        taken = time.monotonic() - started
        noted["recognition_seconds"] = round(taken, 4)
        service.metrics.recognized.observe(taken)
        return found

    try:
        answer = service.pool.run(timed, work)
        return await asyncio.wait_for(answer, service.limits.answer_seconds)
    except asyncio.TimeoutError as error:
        raise RefusedError(
            503,
            "answer_timeout",
            f"There was no answer within {service.limits.answer_seconds:g} s; ask again later, or "
            "send less audio.",
        ) from error


async def while_connected(
    service: Service, request: Request, answer: Awaitable[_Result]
) -> _Result:
    """An answer, unless the client goes before it is there, or the server has to end.

    Raises:
        ClientGoneError: the client went; the answer is cancelled.
        RefusedError: the server ends, and the time for what it had accepted is over.
    """
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(request))
    ending = asyncio.ensure_future(service.time_is_over.wait())
    try:
        await asyncio.wait({answering, leaving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise ClientGoneError if leaving.done() else refusals.ending()
    finally:
        # A thread may be at work for it, which has to notice.
        await cancelled(answering, leaving, ending)


async def cancelled(*tasks: asyncio.Future) -> None:
    """Cancels tasks, and waits until they have ended."""
    for task in tasks:
        task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait(tasks)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
