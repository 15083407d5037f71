"""A server as a process: how it starts, what it logs, how it ends."""

import concurrent.futures
import datetime
import json
import shutil
import ssl
import subprocess
import time

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from tests.support import servers

CLIP = servers.CLIPS[1].read_bytes()


def stream_of(url, **settings):
    return connect(f"{url.replace('http', 'ws', 1)}/v1/stream", **settings)


def pcm16(clip):
    return np.round(32767 * servers.samples(clip)).astype(np.int16)


def test_a_server_that_is_told_to_end_answers_what_it_has_accepted():
    long = servers.wav(np.concatenate([servers.samples(clip) for clip in servers.CLIPS] * 20))
    with servers.process("--workers=1", "--drain_seconds=300") as server:
        client = httpx.Client(base_url=server.url, timeout=300)
        expected = servers.post(client, long).json()
        with (
            concurrent.futures.ThreadPoolExecutor(10) as threads,
            stream_of(server.url) as stream,
        ):
            stream.send("{}")
            assert json.loads(stream.recv())["type"] == "ready"
            stream.send(pcm16(servers.CLIPS[1]).tobytes())
            answers = [threads.submit(servers.post, client, long) for _ in range(8)]
            servers.eventually(lambda: "active_requests 10.0" in client.get("/metrics").text)
            ended = threads.submit(server.end)
            servers.eventually(lambda: client.get("/readyz").status_code == 503)
            # Nothing new, and all the old.
            refused = servers.post(client, CLIP)
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "ending"
            assert client.get("/healthz").status_code == 200
            for answer in answers:
                assert answer.result().status_code == 200
                assert answer.result().json() == expected
            # A stream goes on to its end.
            stream.send(pcm16(servers.CLIPS[1]).tobytes())
            stream.send('{"type": "end"}')
            said = [json.loads(message) for message in stream]
            assert said[-1]["reason"] == "end"
            assert [x["text"] for x in said if x["type"] == "final"] == ["go back go back"]
            logs = ended.result()
        assert server.popen.returncode == 0
    assert logs[-1]["event"] == "ended"
    (ending,) = [line for line in logs if line["event"] == "ending"]
    assert ending["active"] >= 8


def test_what_is_not_answered_in_time_is_refused():
    pcm = np.concatenate([servers.samples(clip) for clip in servers.CLIPS] * 300)
    with servers.process("--workers=1", "--drain_seconds=0.2") as server:
        client = httpx.Client(base_url=server.url, timeout=300)
        with concurrent.futures.ThreadPoolExecutor() as threads:
            answer = threads.submit(servers.post, client, servers.wav(pcm))
            servers.eventually(lambda: "active_requests 2.0" in client.get("/metrics").text)
            server.popen.terminate()
            assert answer.result().status_code == 503
            assert answer.result().json()["error"]["code"] == "ending"
        assert server.popen.wait(60) == 0


def test_answers_do_not_wait_for_packets():
    with servers.serving() as served, served.connection() as connection:
        times = []
        for _ in range(9):
            begun = time.monotonic()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += connection.recv(1000)
            times.append(time.monotonic() - begun)
    # Nagle's algorithm and delayed acknowledgements together cost 40 ms.
    assert min(times[2:]) < 0.03


def test_streams_have_their_time_when_a_server_ends():
    with servers.process("--workers=1", "--drain_seconds=0.5") as server:
        with stream_of(server.url) as stream:
            stream.send("{}")
            stream.send(pcm16(servers.CLIPS[1]).tobytes())
            servers.eventually(lambda: json.loads(stream.recv())["type"] == "partial")
            begun = time.monotonic()
            server.popen.terminate()
            said, code = servers.to_the_end(stream)
        assert 0.4 < time.monotonic() - begun < 5
        assert code == 1001
        assert said[-1]["reason"] == "server_ending"
        assert [x["text"] for x in said if x["type"] == "final"] == ["go back"]
        assert server.popen.wait(10) == 0


@pytest.mark.parametrize("is_told", [False, True])
def test_logs_hold_words_only_if_they_are_to(is_told):
    with servers.process("--workers=1", *(["--log_words"] if is_told else [])) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            servers.post(client, CLIP)
            servers.post(client, CLIP, stream="true")
            servers.post(client, b"go back, which is no audio")
            servers.post(client, CLIP, model="go back")
            path = f"/v1/models/{servers.NAME}:predict"
            client.post(path, json={"signature_name": "transcribe_pcm16", "instances": [[0, 1]]})
            client.get("/go back")
        with stream_of(server.url) as stream:
            servers.heard(stream, pcm16(servers.CLIPS[1]))
        logs = server.end()
    requests = [line for line in logs if line["event"] == "request"]
    assert ("go back" in json.dumps(logs)) == is_told
    assert [line.get("text") for line in requests] == (
        ["go back", "go back", None, None, [""], None, ["go back"]] if is_told else [None] * 7
    )
    assert [line["status"] for line in requests] == [200, 200, 400, 404, 200, 404, 101]
    assert [line.get("error") for line in requests] == [
        None, None, "invalid_request", "model_not_found", None, "not_found", None
    ]  # fmt: skip
    first = requests[0]
    assert first["endpoint"] == "/v1/audio/transcriptions"
    assert first["bytes"] > len(CLIP)
    assert first["audio_seconds"] == pytest.approx(len(pcm16(servers.CLIPS[1])) / 16000, abs=0.01)
    assert 0 < first["recognition_seconds"] < first["seconds"]
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = datetime.datetime.fromisoformat(first["time"].replace("Z", "+00:00"))
    assert abs((now - stamp).total_seconds()) < 60


def test_tls_and_a_token_file(tmp_path):
    certificate, key = write_certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text("a-long-secret\n")
    with servers.process(
        f"--certificate={certificate}", f"--key={key}", f"--token_file={token}", "--workers=1"
    ) as server:
        assert server.url.startswith("https://")
        trust = ssl.create_default_context(cafile=certificate)
        head = {"Authorization": "Bearer a-long-secret"}
        with httpx.Client(base_url=server.url, verify=trust, timeout=30) as client:
            assert client.get("/v1/models").status_code == 401
            client.headers.update(head)
            assert servers.post(client, CLIP).json()["text"] == "go back"
        with stream_of(server.url, ssl=trust, additional_headers=head) as stream:
            *_, final, _ = servers.heard(stream, pcm16(servers.CLIPS[1]))
        assert final["text"] == "go back"


def test_metrics():
    with servers.serving() as served, served.client() as client:
        for _ in range(3):
            servers.post(client, CLIP)
        servers.post(client, b"none")
        client.get("/nothing")
        with served.stream() as stream:
            servers.heard(stream, pcm16(servers.CLIPS[1]))
        servers.eventually(lambda: served.service.active == 0)
        page = client.get("/metrics").text
    found = {
        (sample.name.removeprefix("int4_conformer_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    files, streams = "/v1/audio/transcriptions", "/v1/stream"
    assert found["requests_total", files, "200"] == 3
    assert found["requests_total", files, "400"] == 1
    assert found["requests_total", "other", "404"] == 1
    assert found["requests_total", streams, "101"] == 1
    assert found["refused_total", "invalid_request"] == 1
    seconds = len(pcm16(servers.CLIPS[1])) / 16000
    assert found["audio_seconds_total", files] == pytest.approx(3 * seconds, abs=0.01)
    assert found["audio_seconds_total", streams] == pytest.approx(seconds, abs=0.01)
    assert found["request_seconds_count", files] == 4
    assert found["recognition_seconds_count",] == 3
    assert found["stream_response_seconds_count",] == 1
    assert found["active_requests",] == 1
    assert found["waiting_requests",] == found["streams",] == 0
    assert found["process_resident_memory_bytes",] > 1e7


def write_certificate(folder):
    """Paths of a certificate of 127.0.0.1 and of its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    command += " -addext subjectAltName=IP:127.0.0.1"
    paths = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command.split(), *paths], check=True, capture_output=True)
    return certificate, key
