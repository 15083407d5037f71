"""Words shown while they come: in place on a terminal, as lines elsewhere."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator

import numpy as np

from int4_conformer.cli import app
from int4_conformer.cli.transcripts import Form, JsonLinesForm, TextForm
from int4_conformer.lite.recognizer_stream import PartialResult
from int4_conformer.lite.words import Recognition
from int4_conformer.text.columns import columns, last_columns

# Goes to the start of the terminal's line and empties it.
_CLEAR = "\r\x1b[K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_LEFT_OUT = "..."
# Cells of the level meter, and the level in dB of full scale where it begins.
_CELLS, _LEAST_DB = 8, -60.0


class LiveWords:
    """Shows the results of one recording.

    On a terminal the words of the utterance stand in one line, those that may still be corrected
    dim, until it has ended; then they are printed in their form. JSON lines say all of that
    themselves.

    Args:
        form: of utterances that have ended.
        has_lines: whether words that may change are lines among those of the text, where there is
            no terminal.
        has_meter: whether the terminal shows how loud it is.
    """

    def __init__(self, form: Form, *, has_lines: bool, has_meter: bool = False) -> None:
        self._form = form
        self._has_lines = has_lines and isinstance(form, TextForm)
        self._has_meter = has_meter
        self._is_screen = (
            sys.stdout.isatty()
            and os.environ.get("TERM") != "dumb"
            and not isinstance(form, JsonLinesForm)
        )
        self._drawn = ""
        self._shown = ("", 0)
        self._seconds = 0.0
        self._level = -np.inf
        # The last result of an utterance that goes on.
        self._open: PartialResult | None = None
        # Utterances that had words.
        self.utterances = 0

    def hearing(self, audio: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
        """The audio, float32 [samples] at a time, whose length and loudness are noted."""
        for samples in audio:
            self._seconds += len(samples) / rate
            self._level = 10.0 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12)
            yield samples

    def show(self, results: Iterable[PartialResult]) -> None:
        """Shows results as they come, to the last one."""
        self._print(self._form.head())
        try:
            for result in results:
                self._open = result
                if result.endpoint is None:
                    self._show_partial(result)
                else:
                    self._end(result)
            if self._open is not None and self._open.text:
                self._end(self._open)
        finally:
            self._clear()

    def tell(self, note: str) -> None:
        """Tells the user something beside the words."""
        self._clear()
        app.tell(note)

    def _show_partial(self, result: PartialResult) -> None:
        news = result.text, len(result.final)
        is_new, self._shown = news != self._shown, news
        if isinstance(self._form, JsonLinesForm):
            if is_new:
                self._print(self._form.partial(result))
        elif self._is_screen:
            self._draw(result)
        elif is_new and self._has_lines:
            self._print(f"{self._seconds:.2f}\t{result.text}\n")

    def _end(self, result: PartialResult) -> None:
        self._open, self._shown = None, ("", 0)
        self.utterances += bool(result.text)
        self._clear()
        if result.text or isinstance(self._form, JsonLinesForm):
            found = Recognition(text=result.text, words=result.final_words)
            self._print(self._form.utterance(found, result.endpoint))

    def _draw(self, result: PartialResult) -> None:
        """Puts the words in place of those before."""
        meter = f"{_meter(self._level)} " if self._has_meter else ""
        room = shutil.get_terminal_size().columns - 1 - len(meter)
        text, gone = result.text, ""
        if columns(text) > room:
            gone = _LEFT_OUT
            text = last_columns(text, max(room - len(gone), 0))
        # The text begins with what is final.
        stays = max(len(result.final) - (len(result.text) - len(text)), 0)
        waiting = text[stays:]
        if waiting and "NO_COLOR" not in os.environ:
            waiting = f"{_DIM}{waiting}{_PLAIN}"
        line = f"{meter}{gone}{text[:stays]}{waiting}"
        if line != self._drawn:
            self._drawn = line
            self._print(f"{_CLEAR}{line}")

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = ""
            self._print(_CLEAR)

    def _print(self, text: str) -> None:
        if text:
            print(text, end="", flush=True)


def _meter(level: float) -> str:
    """How loud it is, "[####    ]"."""
    cells = round(_CELLS * (1.0 - max(level, _LEAST_DB) / _LEAST_DB))
    return f"[{'#' * min(cells, _CELLS):{_CELLS}}]"
