"""The page that a browser gets: words while they are spoken."""

from collections.abc import Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# By path: the file, and its type.
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{
        f"/{name}": (name, "text/javascript; charset=utf-8")
        for name in ("page.js", "microphone.js", "recognizer.js")
    },
}
# They hold no secret.
PATHS = tuple(_FILES)
# It loads nothing from elsewhere, asks no one else, and stands in no frame.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """Those of its files."""
    folder = resources.files(__package__) / "page"
    return [
        Route(path, _file((folder / name).read_bytes(), kind))
        for path, (name, kind) in _FILES.items()
    ]


def _file(content: bytes, kind: str) -> Callable[[Request], Response]:
    async def answer(request: Request) -> Response:
        return Response(content, headers=_HEADERS | {"Content-Type": kind})

    return answer
