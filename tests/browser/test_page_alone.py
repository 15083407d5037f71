"""The page that runs the model itself, in a browser, and the program that makes it."""

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import re
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from tests.browser import kit
from tests.support import browser, servers, tflite_models

TEXTS = "[...document.querySelectorAll('#lines p')].map(line => [...line.querySelectorAll('.word')]"
TEXTS += ".map(word => word.firstChild.data).join(' '))"
BUSY = "document.querySelector('#microphone').getAttribute('aria-pressed') === 'true'"
# LiteRT.js logs as warnings what it does, and what it does without.
LOGS = re.compile("INFO: |NPU accelerator|WebGPU|adapters")


class Handler(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` does, quietly."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url(cascade_exports, tmp_path_factory):
    """The page of a recogniser of two passes, served."""
    if not kit.runtime.is_fetched():
        pytest.skip("LiteRT.js is not fetched; python export/browser/make_page.py does it")
    folder = tmp_path_factory.mktemp("page")
    for path, content in kit.make_page.page(cascade_exports.tflite):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A recording that the recogniser finds words in, and that ends within a segment."""
    from tests.support import pairs

    path = tmp_path_factory.mktemp("speech") / "clip.wav"
    utterances = zip(pairs.PCM, pairs.LENGTHS, strict=True)
    pcm = np.concatenate([samples[:length] for samples, length in utterances])
    soundfile.write(path, pcm, 16000)
    return path


@pytest.fixture(scope="module")
def tab(speech, tmp_path_factory):
    """Of a browser whose microphone hears the recording, over and over."""
    with browser.hearing(speech, tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def page(url, tab):
    """The page, loaded; whatever it does, it asks no other host and breaks no policy."""
    with browser.loaded(tab, url, lambda error: not LOGS.search(error)) as tab:
        yield tab


def heard(page, path):
    """The words of a file, when it was heard."""
    count = page.run("document.querySelectorAll('#lines p').length")
    page.choose("#file", path)
    page.wait(f"document.querySelectorAll('#lines p').length === {count + 1} && !({BUSY})")
    return page.run(TEXTS)[-1]


def expected(model, path, second_pass=True):
    """The words of a file, by the runtime for Python."""
    samples, rate = soundfile.read(path, dtype="float32")
    stream = Recognizer(model, gated=False).stream(rate, second_pass=second_pass)
    stream.feed(samples)
    return stream.finish()


def test_words_are_those_of_a_stream(page, speech, cascade_exports):
    both = expected(cascade_exports.tflite, speech)
    assert len(both.final_words) > 2
    assert heard(page, speech) == both.text
    titles = page.run("[...document.querySelectorAll('#lines .word')].map((word) => word.title)")
    for title, word in zip(titles, both.final_words, strict=True):
        start, end, confidence = map(float, re.findall(r"[\d.]+", title)[:3])
        assert start == pytest.approx(word.start, abs=0.006)
        assert end == pytest.approx(word.end, abs=0.006)
        assert confidence == pytest.approx(100 * word.confidence, abs=2)
    # The first pass alone, of the second recording of this page.
    page.run("document.querySelector('#second_pass').click()")
    first = expected(cascade_exports.tflite, speech, second_pass=False)
    assert first.text != both.text
    assert heard(page, speech) == first.text


def test_words_come_while_they_are_spoken(page):
    page.run("document.querySelector('#microphone').click()")
    # How many words they are when, depends on how the browser cuts what its microphone hears: words
    # of this model's weights seldom end.
    said = ""
    for _ in range(4):
        page.wait(f"document.querySelector('#partial').textContent !== {json.dumps(said)}", 20)
        said = page.run("document.querySelector('#partial').textContent")
        assert page.run("document.querySelectorAll('#partial .word').length") > 0
        assert page.run(BUSY)
    page.run("document.querySelector('#microphone').click()")
    page.wait(f"!({BUSY})")
    assert page.run("document.querySelectorAll('#lines .word').length") > 0
    assert page.run("document.querySelector('#error').hidden")


def test_damaged_models_are_told(page):
    page.run(
        "import('./model_file.js').then((module) => { window.metadataOf = module.metadataOf })"
    )
    page.run("fetch('model.tflite').then((x) => x.bytes()).then((x) => { window.model = x })")
    assert page.run("metadataOf(model).sample_rate") == 16000
    told = "((x) => { try { metadataOf(x); return 'fine' } catch (e) { return e.message } })"
    for content in ("new Uint8Array(0)", "new Uint8Array(100)", "model.subarray(0, 2000)"):
        said = page.run(f"{told}({content})")
        assert said.startswith(("The model is damaged", "The model is no recogniser")), content
    # Whichever byte is another, there is a sentence of ours, or metadata.
    said = page.run(
        f"""(() => {{
        const said = new Set();
        for (let i = 0; i < 2000; i++) {{
            const content = model.slice();
            content[(i * 7919) % (i < 1000 ? 400 : content.length)] ^= 1 << (i % 8);
            said.add({told}(content));
        }}
        return [...said];
        }})()"""
    )
    assert all(text == "fine" or text.startswith("The model is ") for text in said), said


def refusal(*arguments):
    """What the program says to its user's mistake."""
    output = io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stderr(output):
        app.run(kit.make_page.COMMAND, ["make_page.py", *map(str, arguments)])
    assert ended.value.code == 2
    (line,) = output.getvalue().splitlines()
    return line


@pytest.mark.parametrize(
    ("model", "said"),
    [(servers.MODEL, "older version"), ("none.tflite", "cannot be read")],
    ids=["older", "absent"],
)
def test_models_that_do_not_run_are_refused(model, said, tmp_path):
    assert said in refusal(model, f"--output={tmp_path / 'page'}")
    assert not (tmp_path / "page").exists()


def test_models_of_whole_utterances_are_refused(tmp_path):
    model = tmp_path / "whole.tflite"
    model.write_bytes(tflite_models.recognizer())
    assert "hears whole utterances only" in refusal(model, f"--output={tmp_path / 'page'}")


def test_the_runtime_is_the_pinned_one(tmp_path, monkeypatch):
    path = tmp_path / f"core-{kit.runtime.VERSION}.tgz"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="not the one that is pinned"):
        list(kit.runtime.files(tmp_path))
    path.unlink()
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"something else"))
    with pytest.raises(UserError, match="gave another file"):
        list(kit.runtime.files(tmp_path))

    def refused(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    with pytest.raises(UserError, match="no network"):
        list(kit.runtime.files(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_policy_lets_the_import_map_through():
    text = (kit.FOLDER / "index.html").read_text()
    (import_map,) = re.findall(r'<script type="importmap">(.*?)</script>', text)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
