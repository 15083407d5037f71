"""A headless Chromium, asked over its DevTools protocol."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from tests.support import servers

_FLAGS = (
    "--headless=new",
    # As root, in containers, there is no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


class Page:
    """A page of a browser.

    Args:
        socket: to the page's DevTools.
    """

    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        # What it has logged as an error, and what it has asked for.
        self.errors: list[str] = []
        self.urls: list[str] = []
        for domain in ("Runtime", "Log", "Network", "Page", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of a method."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def run(self, program):
        """The value of a JavaScript expression, or of its promise."""
        result = self.call(
            "Runtime.evaluate",
            expression=program,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url):
        """Opens a page, and waits until it is there."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && document.querySelector('dd') !== null")

    def wait(self, condition, seconds=60):
        """Waits until a JavaScript expression holds."""
        servers.eventually(lambda: self.run(f"Boolean({condition})"), seconds)

    def choose(self, selector, path):
        """Chooses a file, as people do by a button."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def _note(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url')}")
            case "Network.requestWillBeSent":
                self.urls.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.urls.append(params["url"])


@contextlib.contextmanager
def chromium(folder, *flags):
    """A page of a browser that keeps its files in a folder; skips where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium, which shows the page, is not installed")
    profile = Path(folder) / "profile"
    command = [program, *_FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = profile / "DevToolsActivePort"
        servers.eventually(lambda: told.exists() and told.read_text().strip(), 60)
        port = told.read_text().split()[0]
        servers.eventually(lambda: _pages(port), 30)
        (url,) = _pages(port)
        with connect(url, max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        # Its children write until they have ended.
        time.sleep(0.2)


@contextlib.contextmanager
def hearing(recording, folder):
    """Likewise, of a browser whose microphone hears a recording."""
    fake = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    )
    with chromium(folder, *fake) as tab:
        yield tab


@contextlib.contextmanager
def loaded(tab, url, is_fault=lambda error: True, own=frozenset()):
    """The page at a URL; whatever it does meanwhile, it logs no fault and asks no other host.

    Args:
        tab: of a browser.
        url: of the page.
        is_fault: whether what is logged is one.
        own: names of hosts that are no hosts, such as "" of what the page made itself.
    """
    tab.errors.clear()
    tab.urls.clear()
    tab.open(url)
    yield tab
    assert not [error for error in tab.errors if is_fault(error)]
    hosts = {urlsplit(asked).netloc for asked in tab.urls if urlsplit(asked).scheme != "data"}
    assert hosts - own == {urlsplit(url).netloc}


def _pages(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        return [x["webSocketDebuggerUrl"] for x in json.load(answer) if x["type"] == "page"]
