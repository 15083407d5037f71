"""Serves a .tflite file, or a model that comes with the package, over HTTP and WebSockets.

POST /v1/audio/transcriptions takes recordings as OpenAI's clients send them, /v1/stream hears live
audio in a WebSocket, POST /v1/models/NAME:predict takes requests of TF Serving, and / is a page
with a microphone. /metrics is for Prometheus, /healthz and /readyz for whoever runs it.

It listens on this machine alone unless --host is given, for example --host=0.0.0.0; then give a
token, too, with --token_file, and a certificate, or put a proxy before it.

At SIGTERM or Ctrl-C it takes nothing new, answers what it has accepted, and ends. What happens is
logged on stdout, a JSON object a line, without what was said unless --log_words.
"""

from pathlib import Path

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.recognizers import open_recognizer
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.pretrained.registry import model_file
from int4_conformer.server import json_logs
from int4_conformer.server.application import new_application, new_service
from int4_conformer.server.limits import Limits
from int4_conformer.server.model_facts import ModelFacts
from int4_conformer.server.running_server import RunningServer, bound, require_tls
from int4_conformer.server.service import Access

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _define_flags(values: flags.FlagValues) -> None:
    def text(name: str, help_text: str, default: str | None = None) -> None:
        flags.DEFINE_string(name, default, help_text, flag_values=values)

    with group(values, MACHINE):
        text("host", "Address to listen at; 0.0.0.0 or :: for all of this machine.", "127.0.0.1")
        flags.DEFINE_integer(
            "port",
            8000,
            "Port to listen at; 0 for any that is free.",
            lower_bound=0,
            upper_bound=65535,
            flag_values=values,
        )
    text("name", "Name of the model; that of the file, if not given.")
    with group(values, GIVEN):
        text("token", "Token that clients have to know; others see it in the list of processes.")
        text("token_file", "File that holds the token.")
        text("certificate", "PEM file of a certificate, for TLS.")
        text("key", "PEM file of its key.")
    flags.DEFINE_list(
        "origins",
        [],
        "Pages that may ask besides the server's own, such as https://example.org.",
        flag_values=values,
    )
    flags.DEFINE_boolean("log_words", False, "Log what was said, too.", flag_values=values)
    flags.DEFINE_boolean(
        "gate",
        True,
        "Whether silence and steady noise are kept from the model.",
        flag_values=values,
    )
    app.define_fields(Limits, values)


def _serve(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(f"serve takes a MODEL. Received: {len(arguments)} arguments")
    if (values.certificate is None) != (values.key is None):
        raise UserError("--certificate and --key go with one another; give both.")
    if values.certificate is not None:
        require_tls(values.certificate, values.key)
    limits = Limits(**app.given_fields(Limits, values))
    access = Access(token=_token(values), origins=tuple(values.origins), log_words=values.log_words)
    model = model_file(arguments[0])
    with bound(values.host, values.port) as listening:
        recognizers = [
            _opened(model, num_threads=limits.num_threads, gated=values.gate)
            for _ in range(limits.workers)
        ]
        facts = ModelFacts.of(model, recognizers[0], values.name)
        service = new_service(recognizers, facts, limits, access)
        if access.token is None and values.host not in _LOOPBACK:
            app.tell("Whoever can reach this server may use it; --token_file asks for a token.")
        scheme = "http" if values.certificate is None else "https"
        host, port = listening.getsockname()[:2]
        where = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        app.tell(f"serving {facts.name} at {where}; Ctrl-C ends.")
        json_logs.start()
        json_logs.log("serving", model=facts.name, url=where, workers=limits.workers)
        RunningServer(
            service,
            new_application(service),
            certificate=values.certificate,
            key=values.key,
        ).serve_at(listening)


def _opened(model: str, **settings: int | bool) -> Recognizer:
    """A recogniser that has heard something both ways, so that no client waits for its start."""
    recognizer = open_recognizer(model, **settings)
    if recognizer.hears_streams:
        with held_back():
            stream = recognizer.stream()
            stream.finish()
    return recognizer


def _token(values: flags.FlagValues) -> str | None:
    if values.token is not None and values.token_file is not None:
        raise UserError("--token and --token_file exclude each other; give one of them.")
    if values.token_file is None:
        return values.token
    try:
        return Path(values.token_file).read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UserError(
            f"{values.token_file} cannot be read ({reason}); name a file that holds the token."
        ) from error


COMMAND = app.Command(
    name="serve",
    usage="MODEL [flags]",
    description=__doc__,
    examples=(
        "model.tflite",
        "model.tflite --host=0.0.0.0 --port=9000 --token_file=token.txt",
    ),
    define_flags=_define_flags,
    main=_serve,
)

if __name__ == "__main__":
    app.run(COMMAND)
