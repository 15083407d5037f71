import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.recognizer import Recognizer
from tests.support import servers, tflite_models


@pytest.fixture(scope="module")
def served():
    with servers.serving() as served:
        yield served


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(servers.MODEL)


def pcm16(pcm):
    return np.round(32767 * pcm).astype(np.int16)


def talk(silence=2.0):
    """Clips with silence between them, int16 `[samples]`."""
    parts = [(servers.samples(clip), np.zeros([int(16000 * silence)])) for clip in servers.CLIPS]
    return pcm16(np.concatenate([part for pair in parts for part in pair]))


def utterances(results):
    """Texts and endpoints of those that have ended."""
    return [(x.text, x.endpoint) for x in results if x.endpoint is not None]


def test_words_come_while_they_are_spoken_and_endpoints_part_them(served, recognizer):
    pcm = talk()
    with served.stream() as stream:
        ready, *said, end = servers.heard(stream, pcm)
    assert ready == {
        "type": "ready", "model": servers.NAME, "hears_streams": True, "sample_rate": 16000
    }  # fmt: skip
    steps = (pcm[start : start + 1600] for start in range(0, len(pcm), 1600))
    results = list(recognizer.listen(steps))
    finals = [x for x in said if x["type"] == "final"]
    assert [(x["text"], x["endpoint"]) for x in finals if x["endpoint"]] == utterances(results)
    assert sum(bool(x["text"]) for x in finals) == len(servers.CLIPS)
    assert any(x["type"] == "partial" and x["text"] for x in said)
    words = [word for x in finals for word in x["words"]]
    expected = [w for x in results if x.endpoint or x is results[-1] for w in x.final_words]
    assert [word["text"] for word in words] == [word.text for word in expected]
    assert [word["start"] for word in words] == pytest.approx([w.start for w in expected], abs=1e-3)
    assert end == {"type": "end", "reason": "end", "seconds": round(len(pcm) / 16000, 3)}


@settings(max_examples=3, deadline=None)
@given(part=st.integers(1, 30000))
def test_words_do_not_depend_on_how_audio_is_cut(served, part):
    pcm = talk(1.3)[:40000]
    finals = []
    for size in (1600, max(part, 40)):
        with served.stream() as stream:
            said = servers.heard(stream, pcm, part=size)
        finals.append([x for x in said if x["type"] == "final"])
    assert finals[0] == finals[1]


def test_floats_of_another_rate(served, recognizer):
    from int4_conformer.audio.audio_files import resample

    pcm = resample(servers.samples(servers.CLIPS[1]), 16000, 44100)
    with served.stream() as stream:
        _, *said, _ = servers.heard(stream, pcm, {"sample_rate": 44100, "format": "f32le"})
    results = list(recognizer.listen([pcm], 44100))
    assert said[-1]["text"] == results[-1].text == "go back"


def test_passes_and_endpoints_are_the_clients(served, recognizer):
    pcm = pcm16(servers.samples(servers.CLIPS[1]))
    with served.stream() as stream:
        _, *said, _ = servers.heard(stream, pcm, {"second_pass": False})
    expected = recognizer.stream(second_pass=False, endpointing=EndpointConfig())
    expected.feed(pcm)
    assert said[-1]["text"] == expected.finish().text
    with served.stream() as stream:
        _, *said, _ = servers.heard(stream, talk(), {"endpointing": {"longest": 0.5}})
    assert "longest" in {x["endpoint"] for x in said if x["type"] == "final"}


def test_a_model_of_whole_utterances_says_them_at_their_ends(tmp_path):
    path = tmp_path / "whole.tflite"
    path.write_bytes(tflite_models.recognizer())
    pcm = pcm16(tflite_models.talk([0] * 20 + [1, 2, 0, 3, 2, 1] + [0] * 60))
    with servers.serving(path) as served, served.stream() as stream:
        ready, *said, _ = servers.heard(stream, pcm)
    assert not ready["hears_streams"]
    (final,) = [x for x in said if x["text"]]
    assert final["type"] == "final"
    assert final["endpoint"] == "after_words"
    assert final["text"].startswith("ab cb a")


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        (["{"], "must be a JSON object"),
        (["[" * 100_000], "must be a JSON object"),
        (["[]"], "must be a JSON object. Received: a list"),
        ([b"abcd"], "The first message must be a JSON object"),
        (['{"type": "end"}'], "The first message must be a JSON object"),
        (["{}", "{}"], 'texts are {"type": "end"} alone'),
        (["{}", '{"type": "end", "now": 1}'], "There is no field 'now'"),
        (['{"rate": 8000}'], "There is no field 'rate'"),
        (['{"sample_rate": "fast"}'], "`sample_rate` must be a number. Received: 'fast'"),
        (['{"sample_rate": 0}'], "`sample_rate` must be in"),
        (['{"sample_rate": 1e400}'], "`sample_rate` must be a number"),
        (['{"sample_rate": 16000.5}'], "must be a whole number"),
        (['{"format": "mp3"}'], "must be one of s16le, f32le"),
        (['{"phrases": "a"}'], "`phrases` must be a list. Received: a text"),
        (['{"phrases": [1]}'], "must be a list of texts"),
        (['{"only": true}'], "`only` needs `phrases`"),
        (['{"beam": 1000}'], "`beam` must be in [1, 32]"),
        (['{"endpointing": {"longest": -1}}'], "`longest` must be positive"),
        (['{"endpointing": {"after": 1}}'], "There is no field 'after'"),
        (['{"model": "other"}'], "There is no model 'other' here"),
        (['{"format": "f32le"}', b"\xff" * 6400], "NaN or infinite"),
        (["{}", b"a" * 3201, '{"type": "end"}'], "ends within a sample of 2 bytes"),
    ],
)
def test_what_a_client_must_not_send(served, messages, sentence):
    with served.stream() as stream:
        for message in messages:
            stream.send(message)
        said, code = servers.to_the_end(stream)
    assert code == 1008
    assert said[-1]["type"] == "error"
    assert sentence in said[-1]["error"]["message"]


def test_too_large_a_message_is_refused(served):
    with served.stream(max_size=None) as stream:
        stream.send("{}")
        stream.recv()

        def send() -> None:
            stream.send(b"\0" * (1 << 21))
            stream.recv()

        with pytest.raises(ConnectionClosedError) as closed:
            send()
    # The server closes in the middle of the message: its farewell may not be read.
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    servers.eventually(lambda: not served.service.pool.streams)


def test_silent_clients_are_let_go():
    with servers.serving(idle_seconds=0.3, read_seconds=0.3) as served:
        for messages in ([], ["{}"], ["{}", b"\0\0"]):
            with served.stream() as stream:
                for message in messages:
                    stream.send(message)
                begun = time.monotonic()
                said, _ = servers.to_the_end(stream)
            assert "Nothing came for 0.3 s" in said[-1]["error"]["message"]
            assert time.monotonic() - begun < 3
        assert not served.service.pool.streams


def test_streams_have_a_number_and_a_length():
    with servers.serving(streams=1, stream_seconds=1.0) as served:
        with served.stream() as stream:
            stream.send("{}")
            stream.recv()
            with pytest.raises(InvalidStatus) as refused:
                served.stream()
            assert refused.value.response.status_code == 503
            error = json.loads(refused.value.response.body)["error"]
            assert "1 streams are heard already" in error["message"]
            stream.send(pcm16(np.resize(servers.samples(servers.CLIPS[1]), [40000])).tobytes())
            said = [json.loads(message) for message in stream]
        assert said[-1]["reason"] == "longest"
        assert any(x["type"] == "final" and x["text"] for x in said)


def test_a_client_that_goes_leaves_its_place(served):
    for _ in range(3):
        with served.stream(close_timeout=0.1) as stream:
            stream.send("{}")
            stream.send(talk().tobytes()[:20000])
            # Without a farewell.
            stream.socket.close()
    servers.eventually(lambda: not served.service.active)


def test_many_at_once_hear_what_one_hears():
    pcm = talk(1.3)
    clips = [pcm16(servers.samples(clip)) for clip in servers.CLIPS]
    with servers.serving(workers=2) as served:
        with served.stream() as stream:
            alone = servers.heard(stream, pcm)
        with served.client() as client:
            texts = [servers.post(client, servers.wav(clip)).json()["text"] for clip in clips]
        streams, files, errors = [], [], []

        def stream_one():
            try:
                with served.stream() as stream:
                    streams.append(servers.heard(stream, pcm))
            except Exception as error:
                errors.append(error)

        def send_files():
            try:
                with served.client() as client:
                    for clip in clips * 2:
                        files.append(servers.post(client, servers.wav(clip)).json()["text"])
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=stream_one) for _ in range(8)]
        threads += [threading.Thread(target=send_files) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    finals = [x for x in alone if x["type"] == "final"]
    assert len(streams) == 8
    for said in streams:
        assert [x for x in said if x["type"] == "final"] == finals
    assert sorted(files) == sorted(texts * 16)
