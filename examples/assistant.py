"""An assistant without a network: it hears a phrase, acts, and answers aloud.

    python examples/assistant.py commands           # a microphone, and loudspeakers
    python examples/assistant.py commands a.wav     # a recording; the answer is a.answer.wav

`commands` is a model of the package. A .tflite file does as well, such as one that was trained with
--phrases=examples/assistant.txt, which says what may be asked.

It speaks with espeak-ng: pip install espeakng-loader.
"""

import datetime
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from int4_conformer import Recognizer
from int4_conformer.audio import audio_files
from int4_conformer.audio.synthesis.espeak import Voice, synthesize
from int4_conformer.errors import UserError
from int4_conformer.pretrained import model_file
from int4_conformer.search import Grammar, Match
from int4_conformer.text.spoken_numbers import spoken_number

PHRASES = Path(__file__).with_suffix(".txt").read_text().splitlines()
RATE = 16000


class Assistant:
    """What it knows, and what it does about a phrase."""

    def __init__(self, now: Callable[[], datetime.datetime] = datetime.datetime.now) -> None:
        self.lights: dict[str, bool] = {}
        self.timers: list[datetime.datetime] = []
        self._now = now

    def act(self, said: Match) -> str:
        """Does what was asked; returns the answer."""
        slots, now = said.slots, self._now()
        match said.phrase:
            case "timer":
                minutes = slots["minutes"]
                self.timers.append(now + datetime.timedelta(minutes=minutes))
                return f"I will call you in {spoken_number(minutes)} minutes."
            case "light":
                room = slots.get("room", "room")
                self.lights[room] = slots["state"] == "on"
                return f"The {room} light is {slots['state']}."
            case "time":
                return f"It is {spoken_number(now.hour)} {now:%M}."
        return "Goodbye."


def answers(
    recognizer: Recognizer, assistant: Assistant, audio: Iterable[np.ndarray], rate: int = RATE
) -> Iterator[tuple[str, str]]:
    """What is said, phrase by phrase, and the answer to it."""
    grammar, text = Grammar.of(PHRASES), ""
    for result in recognizer.listen(audio, rate, phrases=PHRASES, only=True):
        text = result.text
        if result.endpoint is not None and (match := grammar.match(text)):
            yield text, assistant.act(match)
            text = ""
    # What was said last may have had no end.
    if match := grammar.match(text):
        yield text, assistant.act(match)


def main(model: str, *recordings: str) -> None:
    recognizer, assistant = Recognizer(model_file(model)), Assistant()
    for recording in recordings:
        samples = audio_files.read(recording, RATE)
        for said, answer in answers(recognizer, assistant, np.array_split(samples, 50)):
            print(f"{said} -> {answer}")
            soundfile.write(Path(recording).with_suffix(".answer.wav"), spoken(answer), RATE)
    if not recordings:
        import sounddevice

        from int4_conformer.audio.microphone import Microphone, choose, devices

        heard = Microphone(choose(devices(), None), print)
        for said, answer in answers(recognizer, assistant, heard.audio(), heard.rate):
            print(f"{said} -> {answer}")
            sounddevice.play(spoken(answer), RATE, blocking=True)


def spoken(answer: str) -> np.ndarray:
    """float32 [samples] of a text."""
    return synthesize(answer, Voice(variant="f2"))


if __name__ == "__main__":
    if len(sys.argv) == 1 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
