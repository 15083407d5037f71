"""The application that answers: which path is whose."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server import page_files, refusals
from int4_conformer.server.guard import Guard
from int4_conformer.server.heard_files import ClientGoneError
from int4_conformer.server.limits import Limits
from int4_conformer.server.live_streams import LiveStreams
from int4_conformer.server.model_facts import ModelFacts
from int4_conformer.server.recognizer_pool import RecognizerPool
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Access, Service
from int4_conformer.server.subtitle_files import subtitle_file
from int4_conformer.server.tf_serving_requests import TfServingRequests
from int4_conformer.server.transcriptions import Transcriptions

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def new_service(
    recognizers: Sequence[Recognizer], facts: ModelFacts, limits: Limits, access: Access
) -> Service:
    """A model that is served.

    Args:
        recognizers: of its file, `limits.workers` of them.
        facts: about it.
        limits: what is taken on.
        access: who may ask.
    """
    pool = RecognizerPool(recognizers, queue=limits.queue, streams=limits.streams)
    return Service(pool, facts, limits, access)


def new_application(service: Service) -> Starlette:
    """What answers for a service; any ASGI server runs it."""

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [service.facts.json()]})

    async def model(request: Request) -> Response:
        service.facts.require(request.path_params["name"])
        return JSONResponse(service.facts.json())

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.page(), headers={"Content-Type": _PROMETHEUS})

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        if service.is_ending:
            return PlainTextResponse("ending\n", 503)
        return PlainTextResponse("ok\n")

    routes = [
        Route("/v1/audio/transcriptions", Transcriptions(service).answer, methods=["POST"]),
        Route("/v1/models", models),
        Route(
            "/v1/models/{name:path}:predict",
            TfServingRequests(service).answer,
            methods=["POST"],
        ),
        Route("/v1/models/{name:path}", model),
        Route("/v1/subtitles/{form}", subtitle_file, methods=["POST"]),
        WebSocketRoute("/v1/stream", LiveStreams(service).answer),
        Route("/metrics", metrics),
        Route("/healthz", alive),
        Route("/readyz", ready),
        *page_files.routes(),
    ]
    middleware = [Middleware(Guard, service=service)]
    if service.access.origins:
        cors = {"allow_methods": ["GET", "POST"], "allow_headers": ["Authorization"]}
        middleware.append(Middleware(CORSMiddleware, allow_origins=service.access.origins, **cors))
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={
            RefusedError: _refused,
            UserError: _wrong,
            ClientGoneError: _gone,
            HTTPException: _unanswered,
            Exception: _failed,
        },
    )


def _refused(request: Request, refusal: RefusedError) -> Response:
    request.state.noted["error"] = refusal.code
    return refusal.response(is_tf_serving=request.url.path.endswith(":predict"))


def _wrong(request: Request, error: UserError) -> Response:
    return _refused(request, refusals.invalid(str(error)))


def _gone(request: Request, error: ClientGoneError) -> Response:
    # Nobody reads it; logs have the status that nginx gives.
    request.state.noted["error"] = "client_gone"
    return Response(status_code=499)


def _unanswered(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        refusal = RefusedError(
            404, "not_found", "There is nothing at this path; look at its spelling."
        )
    elif error.status_code == 405:
        allowed = error.headers["Allow"].replace(", ", " or ")
        message = f"{request.method} is not for this path; send {allowed}."
        refusal = RefusedError(405, "method_not_allowed", message, error.headers)
    else:
        message = f"The request cannot be read: {error.detail}"
        refusal = RefusedError(error.status_code, "invalid_request", message)
    return _refused(request, refusal)


def _failed(request: Request, error: Exception) -> Response:
    # The error itself is logged by who runs the application.
    message = "The server failed; tell who runs it."
    return _refused(request, RefusedError(500, "internal_error", message))
