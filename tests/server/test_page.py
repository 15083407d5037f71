"""The page, in a browser."""

import base64
import json
import re

import numpy as np
import pytest
import soundfile

from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.subtitles import Subtitles
from int4_conformer.lite.words import Word
from int4_conformer.server import page_files
from int4_conformer.server.service import Access
from tests.support import browser, servers

TEXTS = "[...document.querySelectorAll('#lines p')].map(line => [...line.querySelectorAll('.word')]"
TEXTS += ".map(word => word.firstChild.data).join(' '))"
BUSY = "document.querySelector('#microphone').getAttribute('aria-pressed') === 'true'"


@pytest.fixture(scope="module")
def served():
    with servers.serving() as served:
        yield served


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two utterances with silence between them, as a file."""
    path = tmp_path_factory.mktemp("recording") / "clip.wav"
    silence = np.zeros([16000 * 2], np.float32)
    clips = [servers.samples(servers.CLIPS[place]) for place in (2, 3)]
    soundfile.write(
        path, np.concatenate([silence[:8000], clips[0], silence, clips[1], silence]), 16000
    )
    return path


@pytest.fixture(scope="module")
def expected(recording):
    """What is said in it."""
    steps = np.array_split(servers.samples(recording), 60)
    return [x.text for x in Recognizer(servers.MODEL).listen(steps) if x.endpoint and x.text]


@pytest.fixture(scope="module")
def tab(recording, tmp_path_factory):
    """Of a browser whose microphone hears the recording."""
    with browser.hearing(f"{recording}%noloop", tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def page(served, tab):
    with browser.loaded(tab, served.url, own={""}) as tab:
        yield tab


def drop(page, path):
    """Drops a file onto the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    page.run(
        f"""(() => {{
        const bytes = Uint8Array.from(atob("{content}"), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "clip.wav"));
        document.dispatchEvent(new DragEvent("drop", {{ dataTransfer: data }}));
        }})()"""
    )


def test_a_dropped_file(page, recording, expected):
    drop(page, recording)
    page.wait(f"document.querySelectorAll('#lines p').length === 2 && !({BUSY})")
    assert page.run(TEXTS) == expected
    assert page.run("document.querySelector('#partial').textContent") == ""
    count = len(" ".join(expected).split())
    assert f"{count} words" in page.run("document.querySelector('#status').textContent")
    title = page.run("document.querySelector('#lines .word').title")
    assert float(title.split()[0]) > 0.5
    assert title.endswith("%")
    # A second one goes on behind the first, in time, too.
    page.choose("#file", recording)
    page.wait(f"document.querySelectorAll('#lines p').length === 4 && !({BUSY})")
    assert page.run(TEXTS) == expected * 2
    times = page.run("[...document.querySelectorAll('#lines time')].map(time => time.textContent)")
    assert times == sorted(times)


def test_downloads(page, recording, expected):
    page.run(
        """(() => {
        window.files = {};
        URL.createObjectURL = (blob) => { window.blob = blob; return "data:,"; };
        HTMLAnchorElement.prototype.click = async function () {
            const name = this.download;
            window.files[name] = await window.blob.text();
        };
        })()"""
    )
    drop(page, recording)
    page.wait(f"document.querySelectorAll('#lines p').length === 2 && !({BUSY})")
    for form in ("txt", "srt", "vtt"):
        page.run(f"document.querySelector('[data-format={form}]').click()")
        page.wait(f"'words.{form}' in window.files")
    files = page.run("window.files")
    assert files["words.txt"].splitlines() == expected
    assert "--> 00:00:0" in files["words.srt"]
    assert files["words.vtt"].startswith("WEBVTT")
    assert all(files["words.srt"].count(text) for text in expected)
    page.run("document.querySelector('#clear').click()")
    assert page.run(TEXTS) == []
    assert page.run("document.querySelector('[data-format=srt]').disabled")


def test_a_microphone(page):
    page.run("document.querySelector('#microphone').click()")
    page.wait("document.querySelectorAll('#lines p').length >= 1")
    assert page.run(BUSY)
    page.wait("document.querySelectorAll('#lines p').length >= 2")
    page.run("document.querySelector('#microphone').click()")
    page.wait(f"!({BUSY})")
    # Chromium's fake microphone resamples, and begins anywhere.
    first, second, *_ = page.run(TEXTS)
    assert first.startswith("yes")
    assert second.endswith("back go")
    # Something was drawn.
    page.wait(
        "document.querySelector('#wave').getContext('2d')"
        ".getImageData(0, 0, 300, 72).data.some((value) => value > 0)"
    )


def test_what_is_no_recording_is_told(page, tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("no audio")
    page.choose("#file", path)
    page.wait("!document.querySelector('#error').hidden")
    said = page.run("document.querySelector('#error').textContent")
    assert said == "This browser cannot decode letter.txt; choose a recording."
    # What the server refuses, likewise.
    page.run("document.querySelector('#phrases').value = 'Ω'")
    page.choose("#file", servers.CLIPS[0])
    page.wait("document.querySelector('#error').textContent.includes('exported before')")


def test_a_token_is_asked_for(tab):
    page = tab
    with servers.serving(access=Access(token="a-long-secret")) as served:
        page.call("Page.navigate", url=served.url)
        page.wait("document.querySelector('#access') && !document.querySelector('#access').hidden")
        page.run(
            "document.querySelector('#token').value = 'a-long-secret';"
            "document.querySelector('#access').requestSubmit()"
        )
        page.wait("document.querySelector('dd') && document.querySelector('#access').hidden")
        page.choose("#file", servers.CLIPS[1])
        page.wait(f"document.querySelectorAll('#lines p').length === 1 && !({BUSY})")
        assert page.run(TEXTS) == ["go back"]


def test_nothing_may_be_loaded_from_elsewhere(served):
    with served.client() as client:
        for path in page_files.PATHS:
            answer = client.get(path)
            assert not re.search(r"https?://", answer.text.replace("pages of https://", ""))
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


def test_subtitles_of_words(served):
    words = [Word(text="go", start=0.5, end=0.6, confidence=1.0),
             Word(text="back", start=3.5, end=3.6, confidence=1.0)]  # fmt: skip
    given = [[{"text": word.text, "start": word.start, "end": word.end}] for word in words]
    with served.client() as client:
        for form in ("srt", "vtt"):
            subtitles = Subtitles(form)
            expected = subtitles.head() + "".join(subtitles.of([word]) for word in words)
            answer = client.post(f"/v1/subtitles/{form}", json={"utterances": given})
            assert answer.text == expected
        for wrong in (
            {"utterances": "a"},
            {"utterances": [1]},
            {"utterances": [[1]]},
            {"utterances": [[{"text": "a", "start": 2, "end": 1}]]},
            {"utterances": [[{"text": "", "start": 1, "end": 1}]]},
            {"utterances": [[{"text": "\ud800", "start": 1, "end": 1}]]},
            {"words": []},
            [],
        ):
            answer = client.post("/v1/subtitles/srt", content=json.dumps(wrong))
            assert answer.status_code == 400, wrong
        assert client.post("/v1/subtitles/doc", json={}).status_code == 404
