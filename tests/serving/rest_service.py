"""REST as TF Serving speaks it: `api_rest.md` and `json_tensor.cc` of its source."""

import base64
import http.server
import json
import re
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<what>:predict|/metadata)?"
)
# HTTP statuses of gRPC's codes.
_STATUSES = {"NOT_FOUND": 404, "FAILED_PRECONDITION": 412, "UNAVAILABLE": 503}


class BadRequestError(ValueError):
    """JSON that is no request."""


class RestServer:
    """Serves models by threads of its own.

    Args:
        models: `prediction_service.Models`.
        refusal: the exception by which they refuse.
    """

    def __init__(self, models: Any, refusal: type[Exception]):
        handler = type("Handler", (_Handler,), {"models": models, "refusal": refusal})
        self._server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    models: Any
    refusal: type[Exception]

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *args):
        pass

    def _answer(self, body: bytes) -> None:
        try:
            status, content = 200, self._content(body)
        except BadRequestError as error:
            status, content = 400, json.dumps({"error": str(error)})
        except self.refusal as error:
            status = _STATUSES.get(error.code.name, 400)
            content = json.dumps({"error": str(error)})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def _content(self, body: bytes) -> str:
        found = _PATH.fullmatch(self.path)
        is_predict = found is not None and found["what"] == ":predict"
        if found is None or is_predict != (self.command == "POST"):
            raise BadRequestError(f"Malformed request: {self.command} {self.path}")
        version = found["version"] and int(found["version"])
        chosen = found["name"], version, found["label"] or ""
        if not is_predict:
            message = self.models.metadata if found["what"] else self.models.status
            return json_format.MessageToJson(
                message(*chosen),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
        _, model = self.models.find(*chosen)
        return json.dumps(_predicted(model, _parsed(body)))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise BadRequestError("JSON Value: Is not object")
    if ("instances" in request) == ("inputs" in request):
        raise BadRequestError("expecting only one of 'inputs' or 'instances' keys to exist")
    return request


def _predicted(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    name = request.get("signature_name", "serving_default")
    if name not in model.signatures:
        raise BadRequestError(f'Serving signature name: "{name}" not found in signature def')
    infos = model.signatures[name].inputs
    is_row = "instances" in request
    columns = _of_rows(request["instances"], infos) if is_row else request["inputs"]
    if not isinstance(columns, dict) or columns.keys() == {"b64"}:
        if len(infos) > 1:
            raise BadRequestError("inputs is a plain value/list, but expecting an object")
        columns = {next(iter(infos)): columns}
    missing = infos.keys() - columns.keys()
    if missing:
        raise BadRequestError(f"Missing named input: {sorted(missing)[0]} in 'inputs' object.")
    inputs = {key: _tensor(columns[key], info.dtype) for key, info in infos.items()}
    outputs = model.predict(name, inputs)
    values = {key: _plain(value, key.endswith("_bytes")) for key, value in outputs.items()}
    if not is_row:
        return {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    if len(values) == 1:
        rows = [next(iter(row.values())) for row in rows]
    return {"predictions": rows}


def _of_rows(rows: Any, infos: Mapping[str, Any]) -> dict[str, list]:
    if not isinstance(rows, list) or not rows:
        raise BadRequestError("No values in 'instances' array")
    named = [row for row in rows if isinstance(row, dict) and row.keys() != {"b64"}]
    if not named:
        if len(infos) > 1:
            raise BadRequestError("instances is a plain list, but expecting list of objects")
        return {next(iter(infos)): rows}
    for place, row in enumerate(rows):
        if row not in named or row.keys() != infos.keys():
            raise BadRequestError(
                f"Failed to process element: {place} of 'instances' list. "
                f"keys must be equal to: {','.join(sorted(infos))}"
            )
    return {name: [row[name] for row in rows] for name in infos}


def _tensor(value: Any, dtype: int) -> np.ndarray:
    dtype = tf.as_dtype(dtype)
    try:
        if dtype == tf.string:
            return _strings(value)
        array = np.array(value)
        kinds = "b" if dtype == tf.bool else "if" if dtype.is_floating else "i"
        if array.dtype.kind not in kinds:
            raise BadRequestError(f"JSON Value is not of expected type: {dtype.name}")
        return array.astype(dtype.as_numpy_dtype)
    except ValueError as error:
        raise BadRequestError(f"Encountered list at unexpected size: {error}") from error


def _strings(value: Any) -> np.ndarray:
    def plain(x: Any) -> Any:
        if isinstance(x, list):
            return [plain(y) for y in x]
        if isinstance(x, dict) and x.keys() == {"b64"}:
            return base64.b64decode(x["b64"], validate=True)
        if isinstance(x, str):
            return x.encode()
        raise BadRequestError("JSON Value is not of expected type: string")

    return np.array(plain(value), np.object_)


def _plain(value: np.ndarray, is_binary: bool) -> Any:
    def text(x: Any) -> Any:
        if isinstance(x, list):
            return [text(y) for y in x]
        return {"b64": base64.b64encode(x).decode()} if is_binary else x.decode()

    return text(value.tolist()) if value.dtype == np.object_ else value.tolist()
