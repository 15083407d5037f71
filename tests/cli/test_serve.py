import socket

import pytest

from tests.support import commands, servers


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "serve takes a MODEL. Received: 0 arguments"),
        (["a", "b"], "Received: 2 arguments"),
        (["missing.tflite"], "missing.tflite"),
        ([servers.MODEL, "--workers=0"], "`workers` must be at least 1"),
        ([servers.MODEL, "--port=70000"], "port"),
        ([servers.MODEL, "--token=short"], "A token must have 8 characters or more"),
        ([servers.MODEL, "--token_file=missing"], "missing cannot be read"),
        ([servers.MODEL, "--token=a-long-one", "--token_file=b"], "exclude each other"),
        ([servers.MODEL, "--key=key.pem"], "--certificate and --key go with one another"),
        ([servers.MODEL, "--key=no.pem", "--certificate=no.pem"], "no.pem cannot be used"),
        ([servers.MODEL, "--name=a b"], "letters, digits and . _ - alone"),
        ([servers.MODEL, "--host=256.0.0.1"], "cannot listen at 256.0.0.1"),
    ],
)
def test_what_it_refuses(arguments, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    port = [] if any("--port" in str(given) for given in arguments) else ["--port=0"]
    assert sentence in commands.refusal("serve", *arguments, *port)


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = commands.refusal("serve", servers.MODEL, f"--port={port}")
    assert f"cannot listen at 127.0.0.1, port {port}" in line


def test_help_has_the_limits():
    out = commands.run("serve", "--help").out
    for flag in ("--body_megabytes", "--queue", "--drain_seconds", "--token_file", "--origins"):
        assert flag in out
