"""What anyone needs of the page: the server's, and that of `export/browser`, which shares its
scripts and styles."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

from tests.support import browser, page_checks, servers

ROOT = Path(__file__).parents[2]
# Stands in for what runs a model in a browser.
RECOGNIZER = """
export const TAKES_ANY_RATE = true;
export const facts = async () =>
    ({ id: "model", bytes: 1e6, recipe: "w4a8", sample_rate: 16000, hears_streams: true });
export const opened = (rate, shows) => {
    let end;
    const ended = new Promise((resolve) => { end = resolve; });
    const finish = () => {
        shows.final([{ text: "go", start: 0, end: 0.5, confidence: 0.9 }]);
        end();
    };
    return { ended, isFull: false, isOver: false, feed() {}, finish };
};
"""
# Words of every look, errors, and what asks for a token.
SHOW_ALL = """(() => {
const line = document.querySelector("#lines p");
for (const look of ["", "open", "corrected", "open corrected"]) {
    for (const level of [0, 1, 2, 3, 4]) {
        const word = document.createElement("span");
        word.className = `word c${level} ${look}`;
        word.innerHTML = "word<small>0.12</small>";
        line.append(word);
    }
}
document.body.classList.add("with-times");
document.querySelector("#error").hidden = false;
document.querySelector("#error").textContent = "The connection to the server was lost.";
document.querySelector("#access")?.removeAttribute("hidden");
})()"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Of a folder, quietly."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture(scope="module")
def server_url():
    with servers.serving() as served:
        yield served.url


@pytest.fixture(scope="module")
def kit_url(tmp_path_factory):
    """The page of `export/browser`, with a stand-in for its recogniser."""
    folder = tmp_path_factory.mktemp("page")
    for path in (ROOT / "int4_conformer" / "server" / "page").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "index.html").write_bytes((ROOT / "export" / "browser" / "index.html").read_bytes())
    (folder / "recognizer.js").write_text(RECOGNIZER)
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module", params=["server_url", "kit_url"])
def page(request, tab):
    """The page once it has heard a file. Nothing failed meanwhile: no script, no request."""
    with browser.loaded(tab, request.getfixturevalue(request.param)) as tab:
        tab.choose("#file", servers.CLIPS[1])
        tab.wait(
            "document.querySelector('#lines .word') && !document.querySelector('#file').disabled"
        )
        tab.run("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        yield tab


def test_what_it_says_of_itself(page):
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.title").startswith("Speech to text")
    viewport = page.run("document.querySelector('meta[name=viewport]').content")
    assert "width=device-width" in viewport
    # It can be enlarged.
    assert not {"user-scalable", "maximum-scale"} & set(viewport.replace("=", ",").split(","))


def test_a_screen_reader_has_names_and_hears_words(page):
    assert page_checks.nameless(page) == []
    live = "[...document.querySelectorAll('[aria-live=polite], [role=status], [role=alert]')]"
    assert page.run(f"{live}.map((node) => node.id)") == ["status", "error", "lines"]


def test_the_keyboard_reaches_everything_in_order(page):
    reached = page_checks.reached_by_tab(page)
    assert [name for name, _ in reached] == page_checks.controls(page)
    assert {"microphone", "file", "times", "txt", "clear"} <= {name for name, _ in reached}
    assert [name for name, outline in reached if outline < 2] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(page, scheme):
    page.run(SHOW_ALL)
    for pressed in ("false", "true"):
        page.run(f"document.querySelector('#microphone').setAttribute('aria-pressed', {pressed})")
        found = page_checks.contrasts(page, scheme)
        assert len(found) > 40
        assert [x for x in found if x[-1] < 4.5] == []


def test_it_fits_a_phone(page):
    page.run(SHOW_ALL)
    with page_checks.phone(page):
        assert page.run("document.documentElement.scrollWidth") <= 360
        heights = page.run(
            "[...document.querySelectorAll('button, .button')].filter((x) => x.checkVisibility())"
            ".map((x) => x.getBoundingClientRect().height)"
        )
    assert len(heights) >= 4
    assert min(heights) >= 40


def test_it_is_light(page):
    sizes = page.run(
        "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
        ".map((entry) => entry.decodedBodySize)"
    )
    assert 4 <= len(sizes) <= 5
    assert 15_000 < sum(sizes) < 25_000
