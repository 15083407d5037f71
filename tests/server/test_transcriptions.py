import json
import os
import threading

import httpx
import numpy as np
import openai
import pytest

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.subtitles import Subtitles
from tests.support import servers, tflite_models


@pytest.fixture(scope="module")
def served():
    with servers.serving() as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client.audio.transcriptions


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(servers.MODEL)


@pytest.fixture(scope="module")
def serial(recognizer):
    """What one recogniser makes of each clip."""
    return [recognizer.recognize(servers.samples(clip)) for clip in servers.CLIPS]


@pytest.mark.parametrize("place", range(len(servers.CLIPS)))
def test_openais_client_has_the_words_of_a_file(client, serial, place):
    found = client.create(model=servers.NAME, file=servers.CLIPS[place])
    assert found.text == serial[place].text


def test_words_have_their_times(client, serial):
    found = client.create(
        model=servers.NAME,
        file=servers.CLIPS[1],
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert [(x.word, x.start, x.end) for x in found.words] == [
        (x.text, round(x.start, 3), round(x.end, 3)) for x in serial[1].words
    ]
    assert found.duration == pytest.approx(len(servers.samples(servers.CLIPS[1])) / 16000, abs=0.01)
    (segment,) = found.segments
    assert segment.text == serial[1].text
    logs = [np.log(word.confidence) for word in serial[1].words]
    assert segment.avg_logprob == pytest.approx(np.mean(logs), abs=1e-3)
    only_segments = client.create(
        model=servers.NAME, file=servers.CLIPS[1], response_format="verbose_json"
    )
    assert only_segments.words is None
    assert only_segments.segments == found.segments


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles(client, serial, form):
    subtitles = Subtitles(form)
    found = client.create(model=servers.NAME, file=servers.CLIPS[1], response_format=form)
    assert found == subtitles.head() + subtitles.of(serial[1].words)


def test_text(client, serial):
    found = client.create(model=servers.NAME, file=servers.CLIPS[1], response_format="text")
    assert found == f"{serial[1].text}\n"


def test_a_streamed_answer_adds_up(client, serial):
    long = np.concatenate([servers.samples(clip) for clip in servers.CLIPS] * 3)
    events = list(client.create(model=servers.NAME, file=("a.wav", servers.wav(long)), stream=True))
    *deltas, done = events
    assert {delta.type for delta in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 1
    assert done.type == "transcript.text.done"
    assert "".join(delta.delta for delta in deltas) == done.text
    said = [word for found in serial for word in found.text.split()]
    assert set(said) <= set(done.text.split())


def test_a_model_of_whole_utterances_streams_its_answer_too(tmp_path):
    path = tmp_path / "whole.tflite"
    path.write_bytes(tflite_models.recognizer())
    pcm = tflite_models.pcm([1, 2, 0, 3, 2])
    with servers.serving(path) as served, served.client() as client:
        answer = servers.post(client, servers.wav(pcm), model="whole", stream="true")
        assert servers.post(client, servers.wav(pcm), model="whole").json()["text"] == "ab cb"
    first, done, end = answer.text.strip().split("\n\n")
    assert json.loads(first.removeprefix("data: "))["delta"] == "ab cb"
    assert json.loads(done.removeprefix("data: "))["text"] == "ab cb"
    assert end == "data: [DONE]"


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"model": "whisper-9"}, 404, "There is no model 'whisper-9' here; the model is"),
        ({"response_format": "diarized_json"}, 400, "must be one of json, verbose_json"),
        ({"timestamp_granularities[]": "letter"}, 400, "must be one of word, segment"),
        ({"stream": "perhaps"}, 400, "`stream` must be true or false. Received: 'perhaps'"),
        ({"stream": "true", "response_format": "srt"}, 400, "must be json or text"),
        ({"only": "true"}, 400, "`only` needs `keywords`"),
        ({"keywords": "a", "bonus": "much"}, 400, "`bonus` must be a number. Received: 'much'"),
        ({"keywords": "a", "bonus": "nan"}, 400, "`bonus` must be a number"),
        ({"respons_format": "json"}, 400, "did you mean response_format?"),
        ({"model": ["a", "b"]}, 400, "`model` must be given once"),
    ],
)
def test_what_a_form_must_not_hold(served, fields, status, sentence):
    with served.client() as client:
        answer = servers.post(client, servers.CLIPS[0].read_bytes(), **fields)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert sentence in error["message"]
    assert error["type"] == "invalid_request_error"


def test_openais_client_gets_our_sentence(client):
    with pytest.raises(openai.NotFoundError, match="There is no model 'whisper-1' here"):
        client.create(model="whisper-1", file=servers.CLIPS[0])
    with pytest.raises(openai.BadRequestError, match="is not audio: it is text"):
        client.create(model=servers.NAME, file=("a.wav", b"no audio at all"), stream=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; record it again"),
        (b"\x00" * 5000, "cannot be decoded"),
        (b"<html>", "web page"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\x00" * 100, "no MP3 frame"),
        (servers.wav(np.zeros([0], np.float32)), "holds no audio samples"),
        (servers.wav(np.zeros([100, 9], np.float32)), "has 9 channels"),
        (servers.CLIPS[0].read_bytes()[:30], "The file"),
    ],
)
def test_what_is_no_audio(served, content, sentence):
    with served.client() as client:
        answer = servers.post(client, content)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]


def test_names_of_files_reach_nothing(served, tmp_path, monkeypatch):
    # Also a file that is there, under any word that the server may call an upload.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "The file").write_bytes(servers.CLIPS[0].read_bytes())
    for name in ("/etc/passwd", str(servers.CLIPS[0]), "../../x.wav", "The file"):
        with served.client() as client:
            answer = client.post(
                "/v1/audio/transcriptions",
                files={"file": (name, b"RIFF\x00\x00\x00\x00")},
                data={"model": servers.NAME},
            )
        assert answer.status_code == 400, name
        assert name == "The file" or name not in answer.text
    assert os.listdir(tmp_path) == ["The file"]


def test_a_text_is_no_file(served):
    with served.client() as client:
        url, data = "/v1/audio/transcriptions", {"model": servers.NAME, "file": "a.wav"}
        sent = {name: (None, value) for name, value in data.items()}
        assert "a file of the form" in client.post(url, files=sent).text
        assert client.post(url, data=data).status_code == 415
        two = [("file", ("a", b"a")), ("file", ("b", b"b"))]
        answer = client.post(url, files=two, data={"model": servers.NAME})
        assert answer.status_code == 400
        assert "Too many files" in answer.text


def test_a_long_recording_is_heard(served, recognizer):
    # Longer than one call of a model hears.
    pcm = np.concatenate([servers.samples(clip) for clip in servers.CLIPS] * 24)
    assert len(pcm) / 16000 > recognizer.longest_seconds
    with served.client() as client:
        found = servers.post(client, servers.wav(pcm, 16000)).json()
    expected = recognizer.recognize(np.round(pcm * 32767).astype(np.int16))
    assert found["text"] == expected.text


def test_a_client_that_goes_frees_its_recogniser(served, recognizer):
    pcm = np.concatenate([servers.samples(clip) for clip in servers.CLIPS] * 60)
    content = servers.wav(pcm)

    def leave():
        with served.client() as client:
            client.timeout = httpx.Timeout(30, read=0.2)
            with pytest.raises(httpx.ReadTimeout):
                servers.post(client, content)

    threads = [threading.Thread(target=leave) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    servers.eventually(lambda: not served.service.active)
    with served.client() as client:
        assert servers.post(client, servers.CLIPS[0].read_bytes()).status_code == 200
