"""Pictures of the server's page for its documentation: it hears people, with the model of the box.

    python -m docs.screenshots

What it hears are four of the recordings of people that come with the package, with pauses between
them. It needs Chromium.
"""

import base64
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from int4_conformer.audio.audio_files import SAMPLE_RATE, read
from int4_conformer.data.sources.clips import clips
from int4_conformer.pretrained.registry import model_file
from tests.support import browser, servers

DOCS = Path(__file__).parent
MODEL = "commands"
_CLIPS, _PAUSE = 4, 1.5
_IS_DONE = "/^\\d+ words in/.test(document.querySelector('#status').textContent)"
# Name, width, height, and colours.
_PICTURES = (
    ("server_page", 900, 760, "light"),
    ("server_dark", 900, 760, "dark"),
    ("server_phone", 390, 844, "light"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "people.wav"
        soundfile.write(recording, _people(), SAMPLE_RATE)
        with (
            servers.serving(str(model_file(MODEL))) as served,
            browser.chromium(folder) as tab,
        ):
            for name, width, height, colours in _PICTURES:
                _show(tab, width, height, colours)
                tab.open(served.url)
                tab.choose("#file", recording)
                tab.wait(_IS_DONE)
                png = tab.call("Page.captureScreenshot", format="png")["data"]
                (DOCS / f"{name}.png").write_bytes(base64.b64decode(png))


def _people() -> np.ndarray:
    """float32 `[samples]` at 16 kHz."""
    pause = np.zeros(int(_PAUSE * SAMPLE_RATE), np.float32)
    return np.concatenate(
        [part for clip in clips(MODEL)[:_CLIPS] for part in (read(clip.audio), pause)]
    )


def _show(tab: browser.Page, width: int, height: int, colours: str) -> None:
    """Sets the size and the colours that a browser shows pages with."""
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    features = [{"name": "prefers-color-scheme", "value": colours}]
    tab.call("Emulation.setEmulatedMedia", features=features)


if __name__ == "__main__":
    main()
