"""The page that runs the model itself, in a browser, and the program that makes it."""

import functools
import http.server
import re
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from int4_conformer.lite.recognizer import Recognizer
from tests.support import browser

ROOT = Path(__file__).parents[2]
KIT = ROOT / "export" / "browser"
sys.path.insert(0, str(KIT))

import make_page
import runtime

TEXTS = "[...document.querySelectorAll('#lines p')].map(line => [...line.querySelectorAll('.word')]"
TEXTS += ".map(word => word.firstChild.data).join(' '))"
BUSY = "document.querySelector('#microphone').getAttribute('aria-pressed') === 'true'"


class Handler(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` does, quietly."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url(cascade_exports, tmp_path_factory):
    """The page of a recogniser of two passes, served."""
    if not runtime.is_fetched():
        pytest.skip("LiteRT.js is not fetched; python export/browser/make_page.py does it")
    folder = tmp_path_factory.mktemp("page")
    for path, content in make_page.page(cascade_exports.tflite):
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
    pcm = np.concatenate(
        [pcm[:length] for pcm, length in zip(pairs.PCM, pairs.LENGTHS, strict=True)]
    )
    soundfile.write(path, pcm, 16000)
    return path


@pytest.fixture(scope="module")
def tab(speech, tmp_path_factory):
    """Of a browser whose microphone hears the recording."""
    fake = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={speech}%noloop",
    )
    with browser.chromium(tmp_path_factory.mktemp("chromium"), *fake) as tab:
        yield tab


@pytest.fixture
def page(url, tab):
    """The page, loaded; whatever it does, it asks no other host and breaks no policy."""
    tab.errors.clear()
    tab.urls.clear()
    tab.open(url)
    yield tab
    # LiteRT.js logs as warnings what it does, and what it does without.
    assert not [x for x in tab.errors if not re.search("INFO: |NPU accelerator|WebGPU|adapters", x)]
    assert {urlsplit(x).netloc for x in tab.urls if urlsplit(x).scheme != "data"} == {
        urlsplit(url).netloc
    }


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
    assert len(both.final_words) > 3
    assert heard(page, speech) == both.text
    shown = page.run(
        "[...document.querySelectorAll('#lines p:last-child .word')].map(word => word.title)"
    )
    for title, word in zip(shown, both.final_words, strict=True):
        start, end, confidence = map(float, re.findall(r"[\d.]+", title)[:3])
        assert start == pytest.approx(word.start, abs=0.006)
        assert end == pytest.approx(word.end, abs=0.006)
        assert confidence == pytest.approx(100 * word.confidence, abs=2)
    # The first pass alone, of the second recording of this page.
    page.run("document.querySelector('#second_pass').click()")
    first = expected(cascade_exports.tflite, speech, second_pass=False)
    assert first.text != both.text
    assert heard(page, speech) == first.text


def test_words_come_while_they_are_spoken(page, speech):
    page.run("document.querySelector('#microphone').click()")
    page.wait("document.querySelectorAll('#partial .word').length > 3")
    assert page.run(BUSY)
    page.run("document.querySelector('#microphone').click()")
    page.wait(f"!({BUSY})")
    assert page.run("document.querySelectorAll('#lines .word').length") > 3
    assert page.run("document.querySelector('#error').hidden")
