import json
import sys
from pathlib import Path

import numpy as np
import openai
import pytest

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.search.beam_config import BeamConfig
from tests.support import pairs, servers

KIT = Path(__file__).parents[2] / "export" / "tf_serving"
PCM16 = np.round(32767 * np.clip(pairs.PCM[0], -1, 1)).astype(np.int16)
PHRASES = ["ab ba", "ca"]


@pytest.fixture(scope="module")
def recognizer(cascade_exports):
    return Recognizer(cascade_exports.tflite, gated=False)


@pytest.fixture(scope="module")
def served(cascade_exports):
    with servers.serving(cascade_exports.tflite, gated=False) as served:
        yield served


def test_keywords_are_preferred_and_closed_lists_heeded(served, recognizer):
    file = ("a.wav", servers.wav(PCM16))
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        create = client.audio.transcriptions.create
        plain = create(model="model", file=file).text
        preferred = create(model="model", file=file, keywords=PHRASES, extra_body={"bonus": 6})
        closed = create(
            model="model",
            file=file,
            extra_body={"keywords": ["turn = (ab | ca) {n:a | b}"], "only": True},
            response_format="verbose_json",
        )
    assert plain == recognizer.recognize(PCM16).text
    assert preferred.text == recognizer.recognize(PCM16, phrases=PHRASES, bonus=6.0).text
    assert preferred.text != plain
    expected = recognizer.recognize(PCM16, phrases=["turn = (ab | ca) {n:a | b}"], only=True)
    assert closed.text == expected.text
    assert closed.phrase == "turn"
    assert closed.slots == expected.match.slots


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"keywords": "Ω"}, "ω"),
        ({"keywords": "a {", "only": "1"}, "{"),
        ({"keywords[]": ["a"] * 1001}, "takes 1000 phrases"),
    ],
)
def test_what_no_phrase_is(served, fields, sentence):
    with served.client() as client:
        answer = servers.post(client, servers.wav(PCM16), model="model", **fields)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "opening",
    [
        {"phrases": PHRASES, "bonus": 6},
        {"phrases": ["ab", "ca a"], "only": True},
        {"beam": 4},
    ],
)
def test_streams_search_as_they_are_asked(served, recognizer, opening):
    with served.stream() as stream:
        _, *said, _ = servers.heard(stream, PCM16, opening)
    search = {name: value for name, value in opening.items() if name != "beam"}
    if "beam" in opening:
        search["beam"] = BeamConfig(beam_size=4)
    steps = (PCM16[start : start + 1600] for start in range(0, len(PCM16), 1600))
    *_, last = recognizer.listen(steps, **search)
    assert said[-1]["text"] == last.text
    if "only" in opening:
        assert said[-1]["phrase"] == last.text


def test_phrases_are_for_the_second_pass(served):
    with served.stream() as stream:
        stream.send(json.dumps({"phrases": ["ab"], "second_pass": False}))
        said, code = servers.to_the_end(stream)
    assert code == 1008
    assert "second_pass=False" in said[-1]["error"]["message"]


def test_clients_of_tf_serving_find_what_they_know(served, recognizer, monkeypatch):
    monkeypatch.syspath_prepend(str(KIT))
    client_module = __import__("recognition_client")
    client = client_module.RestClient(served.url, "model")
    pcm = PCM16 / np.float32(32768)
    found, expected = client.transcribe(pcm), recognizer.recognize(PCM16)
    assert found.text == expected.text
    assert [(x.text, x.start, x.end, x.confidence) for x in found.words] == [
        (x.text, pytest.approx(x.start), pytest.approx(x.end), pytest.approx(x.confidence))
        for x in expected.words
    ]
    hypotheses = client.beam(pcm, PHRASES, 2.0)
    beam = recognizer.recognize(PCM16, phrases=PHRASES, bonus=2.0, beam=BeamConfig(n_best=4))
    both = [beam, *beam.alternatives]
    assert [x.text for x in hypotheses] == [x.text for x in both]
    assert [x.score for x in hypotheses] == pytest.approx([x.score for x in both])
    with pytest.raises(client_module.ServerError, match="There is no model 'other'"):
        client_module.RestClient(served.url, "other").transcribe(pcm)
    with pytest.raises(client_module.RecognitionError, match="peak"):
        client.transcribe(32000 * np.ones([800], np.float32))
    del sys.modules["recognition_client"]
