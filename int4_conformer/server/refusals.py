"""What clients are told that are not served."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class RefusedError(Exception):
    """A request that is not answered; its message is one sentence.

    Args:
        status: of HTTP.
        code: a word for programs, which is logged, too; the message, which may repeat what was
            sent, is not.
        message: for people.
        headers: of the response, besides.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """As OpenAI's clients read it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"message": self.message, "type": kind, "param": None, "code": self.code}

    def response(self, *, is_tf_serving: bool = False) -> JSONResponse:
        """The answer; TF Serving's clients read the sentence alone."""
        error = self.message if is_tf_serving else self.body()
        return JSONResponse({"error": error}, self.status, self.headers)


def invalid(message: str) -> RefusedError:
    """Of what was sent."""
    return RefusedError(400, "invalid_request", message)


def busy(code: str, message: str) -> RefusedError:
    """Of what may be asked again soon."""
    return RefusedError(503, code, message, {"Retry-After": "1"})


def ending() -> RefusedError:
    """Of a server that was told to end."""
    message = "The server is about to end; ask again, and another one answers."
    return RefusedError(503, "ending", message, {"Retry-After": "1", "Connection": "close"})
