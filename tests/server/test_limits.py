"""What is too much, too slow or not allowed, while others are served."""

import contextlib
import io
import json
import socket
import threading
import time

import numpy as np
import pytest
import soundfile
from websockets.exceptions import InvalidStatus

from int4_conformer.errors import UserError
from int4_conformer.server.limits import Limits
from int4_conformer.server.service import Access
from tests.support import servers

TOKEN = "a-long.secret~1"
CLIP = servers.CLIPS[1].read_bytes()
TEXT = "go back"


@pytest.fixture(scope="module")
def served():
    with servers.serving(
        body_megabytes=0.2, audio_seconds=3.0, read_seconds=1.0, workers=1, queue=1
    ) as served:
        yield served


@pytest.fixture
def others(served):
    """Has another client served meanwhile, again and again."""
    ended, texts = threading.Event(), []

    def ask():
        with served.client() as client:
            while not (texts and ended.is_set()):
                texts.append(servers.post(client, CLIP).json()["text"])
                time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    ended.set()
    thread.join()
    assert set(texts) == {TEXT}


def error(answer):
    """The OpenAI-shaped error of a refusal, with one sentence."""
    found = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert found["message"].endswith((".", "?"))
    return answer.status_code, found["code"]


def test_too_large_a_body(served, others):
    with served.client() as client:
        assert error(servers.post(client, b"\0" * 300_000)) == (413, "body_too_large")

        def parts():
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(100):
                yield b"\0" * 10_000

        head = {"Content-Type": "multipart/form-data; boundary=x"}
        # Without a length, which would tell before.
        answer = client.post("/v1/audio/transcriptions", content=parts(), headers=head)
        assert error(answer) == (413, "body_too_large")
        path = f"/v1/models/{servers.NAME}:predict"
        answer = client.post(path, content=b" " * 300_000)
        assert answer.status_code == 413
        assert isinstance(answer.json()["error"], str)


def test_too_many_bytes_at_once():
    path = f"/v1/models/{servers.NAME}:predict"
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"
    with servers.serving(bodies_megabytes=0.1) as served, served.client() as client:
        with served.connection() as slow:
            slow.sendall(head.encode() + bytes(80_000))
            servers.eventually(lambda: served.service.body_bytes == 80_000)
            assert error(servers.post(client, bytes(90_000))) == (503, "too_many_bytes")
        servers.eventually(lambda: served.service.body_bytes == 0)
        assert servers.post(client, CLIP).json()["text"] == TEXT
    assert served.service.body_bytes == 0


def test_too_long_audio(served, others):
    # Little to send, much to hear.
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16000 * 600, np.int16), 16000, format="FLAC")
    assert len(file.getvalue()) < 100_000
    with served.client() as client:
        begun = time.monotonic()
        assert error(servers.post(client, file.getvalue())) == (413, "audio_too_long")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "multipart/form-data", 400),
        (b"--x", "multipart/form-data; boundary=y", 400),
        (b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x", 400),
        (b"{}", "application/json", 415),
        (b"", "", 415),
    ],
)
def test_malformed_bodies(served, others, content, kind, status):
    with served.client() as client:
        answer = client.post(
            "/v1/audio/transcriptions", content=content, headers={"Content-Type": kind}
        )
    assert error(answer)[0] == status


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_heads(served, others, head):
    with served.connection() as connection:
        connection.sendall(head)
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "invalid_request"


def test_slow_heads_and_bodies(served, others):
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    for start in (b"", b"PO", head, head + kind, head + kind + b"--x\r\n"):
        begun = time.monotonic()
        with served.connection() as connection:
            for place in range(0, len(start), 40):
                connection.sendall(start[place : place + 40])
                time.sleep(0.01)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(1000):
                    answer += part
        assert time.monotonic() - begun < 5
        if start.endswith(b"\r\n\r\n"):
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"was not there within 1 s" in answer
    servers.eventually(lambda: served.service.active <= 1)


def test_a_slow_head_after_an_answer(served, others):
    with served.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        connection.sendall(b"GET /hea")
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1000):
                pass
        assert time.monotonic() - begun < 4


def test_half_closed_connections(served, others):
    for content in (b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /v1/au"):
        with served.connection() as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass
    servers.eventually(lambda: served.service.active <= 1)


def test_a_client_that_takes_no_answer_is_let_go():
    count, answered = 3000, 0
    with servers.serving(read_seconds=0.5) as served:
        with served.connection() as connection:
            kept = served.server.server_state.connections
            servers.eventually(lambda: kept)
            with contextlib.suppress(ConnectionError):
                # So many answers that no buffer holds them.
                connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: a\r\n\r\n" * count)
            servers.eventually(lambda: not kept, 60)
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(1 << 16):
                    answered += part.count(b"HTTP/1.1 200")
        assert answered < count
        with served.client() as client:
            assert client.get("/healthz").status_code == 200


def test_more_than_can_wait_is_refused(served):
    pcm = np.resize(servers.samples(servers.CLIPS[1]), [47_000])
    content, answers = servers.wav(pcm), []

    def send():
        with served.client() as client:
            answers.append(servers.post(client, content))

    threads = [threading.Thread(target=send) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) == 24
    assert 0 < len(refused) < 24
    for answer in refused:
        assert error(answer) == (503, "queue_full")
        assert answer.headers["retry-after"] == "1"
    assert len({answer.text for answer in answers if answer.status_code == 200}) == 1


def test_requests_and_connections_have_numbers():
    with servers.serving(requests=1, streams=1, connections=4, read_seconds=20.0) as served:
        one, two = served.connection(), served.connection()
        with one, two:
            for connection in (one, two):
                connection.sendall(
                    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
                    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
                )
            servers.eventually(lambda: served.service.active == 2)
            with served.client() as client:
                assert error(client.get("/v1/models")) == (503, "too_many_requests")
                # Whoever runs the server may ask whether it is there.
                assert client.get("/readyz").status_code == 200
            with served.connection() as three, served.connection(), served.connection() as five:
                head = five.recv(1000)
                assert head.startswith(b"HTTP/1.1 503")
                assert b"too_many_connections" in head + five.recv(1000)
                three.close()
    with servers.serving(answer_seconds=0.02) as served, served.client() as client:
        content = servers.wav(np.resize(servers.samples(servers.CLIPS[1]), [1_600_000]))
        assert error(servers.post(client, content)) == (503, "answer_timeout")


def test_a_token():
    with servers.serving(access=Access(token=TOKEN)) as served:
        with served.client() as client:
            for path in ("/v1/models", "/metrics", "/v1/models/x"):
                answer = client.get(path)
                assert error(answer) == (401, "invalid_api_key")
                assert answer.headers["www-authenticate"] == "Bearer"
            assert error(servers.post(client, CLIP)) == (401, "invalid_api_key")
            for path in ("/", "/page.js", "/healthz", "/readyz"):
                assert client.get(path).status_code == 200
            for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer \xff"):
                head = {"Authorization": wrong.encode("latin-1")}
                assert client.get("/v1/models", headers=head).status_code == 401
            head = {"Authorization": f"Bearer {TOKEN}"}
            assert client.get("/v1/models", headers=head).status_code == 200
            client.headers.update(head)
            assert servers.post(client, CLIP).json()["text"] == TEXT
        with pytest.raises(InvalidStatus) as refused:
            served.stream()
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
        for settings in (
            {"additional_headers": head},
            {"subprotocols": ["int4-conformer", f"bearer.{TOKEN}"]},
        ):
            with served.stream(**settings) as stream:
                stream.send("{}")
                assert json.loads(stream.recv())["type"] == "ready"


@pytest.mark.parametrize("token", ["short", "with space and more", "ümlauts-everywhere", ""])
def test_tokens_that_no_header_holds(token):
    with pytest.raises(UserError, match="A token must have 8 characters or more"):
        Access(token=token)


def test_pages_of_other_hosts():
    own, other, friend = None, "https://evil.example", "https://friend.example"
    with servers.serving(access=Access(origins=(friend,))) as served:
        own = served.url
        with served.client() as client:
            for origin, status in (
                (own, 200),
                (friend, 200),
                (other, 403),
                ("null", 403),
                ("http://[", 403),
            ):
                answer = client.get("/v1/models", headers={"Origin": origin})
                assert answer.status_code == status
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == (friend if origin == friend else None)
        with served.stream(origin=own):
            pass
        with pytest.raises(InvalidStatus) as refused:
            served.stream(origin=other)
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"queue": -1}, "`queue` must be at least 0"),
        ({"body_megabytes": 0}, "`body_megabytes` must be positive"),
        ({"idle_seconds": float("nan")}, "`idle_seconds` must be positive"),
    ],
)
def test_limits_are_checked(limits, sentence):
    with pytest.raises(UserError, match=sentence):
        Limits(**limits)


def test_paths_that_there_are_not(served):
    with served.client() as client:
        assert error(client.get("/v1/models/../../etc/passwd")) == (404, "not_found")
        assert error(client.get("/page/index.html")) == (404, "not_found")
        assert error(client.get("/v1/models/%2e%2e%2f")) == (404, "model_not_found")
        answer = client.get("/v1/audio/transcriptions")
        assert error(answer) == (405, "method_not_allowed")
        assert "GET is not for this path; send POST." in answer.text
        answer = client.post("/v1/models/x:predict", content=b"{}")
        assert answer.status_code == 404
        assert "There is no model 'x'" in answer.json()["error"]


def test_requests_at_random(served, others):
    """What no client sends: nothing but refusals, and none that is the server's fault."""
    rng = np.random.default_rng(0)
    with served.client() as client:
        for _ in range(40):
            noise = rng.bytes(int(rng.integers(1, 3000)))
            answer = servers.post(client, noise)
            assert answer.status_code in (200, 400), answer.text
            damaged = bytearray(CLIP)
            for place in rng.integers(0, len(CLIP), 20):
                damaged[place] = rng.integers(256)
            assert servers.post(client, bytes(damaged)).status_code in (200, 400)
            body = bytes(rng.choice(list(b'{}[]",:0123456789.eE-+truefalsnul \\'), 60))
            answer = client.post(f"/v1/models/{servers.NAME}:predict", content=body)
            assert answer.status_code == 400
