"""Recognises audio files with a .tflite file that `int4-conformer export` wrote.

Prints the text of one file, or a line "file<TAB>text" for each of several. WAV, FLAC, Ogg, Opus and
MP3 of any rate and channel count are read, to the end of the file, whatever its header says. Of
several channels the mean is heard, or the loudest where they cancel each other; --channel=left,
=right or a number takes one.

A file that cannot be read is told on stderr, and the others are recognised; then the exit status
is 2. What is odd about a file, such as that it ends early, is told there, too.

With --words it prints a line "start<TAB>end<TAB>confidence<TAB>word" for each word, times in
seconds; of several files each line begins with "file<TAB>". With --json it prints a JSON object a
file: {"audio": file, "text": text, "words": [{"text", "start", "end", "confidence"}, ...]}. The
confidence of a word, 0 to 1, is the geometric mean of its tokens' probabilities.

With --stream the file is heard segment by segment, as from a microphone, and its words are shown
while they come: on a terminal in one line that grows, else in a line "seconds<TAB>words" whenever
they change.
"""

import dataclasses
import json
import sys

import numpy as np
from absl import flags

from int4_conformer.audio import audio_files
from int4_conformer.audio.samples import MIX, require_channel
from int4_conformer.cli import app
from int4_conformer.cli.library_noise import held_back
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer

# Audio that a stream is fed at once.
_STEP_SECONDS = 0.1
# Goes to the start of the terminal's line and empties it.
_CLEAR = "\r\x1b[K"


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("num_threads", 1, "CPU threads to use.", lower_bound=1, flag_values=values)
    flags.DEFINE_string(
        "channel", MIX, "mix, left, right or a number from 1 on.", flag_values=values
    )
    flags.DEFINE_boolean("stream", False, "Show words while they come.", flag_values=values)
    flags.DEFINE_boolean(
        "words", False, "Print each word with its times and confidence.", flag_values=values
    )
    flags.DEFINE_boolean("json", False, "Print a JSON object a file.", flag_values=values)


def _transcribe(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) < 2:
        raise UserError(
            f"transcribe takes a MODEL and audio FILEs. Received: {len(arguments)} arguments"
        )
    if values.stream + values.words + values.json > 1:
        raise UserError("--stream, --words and --json exclude each other; give one of them.")
    require_channel(values.channel)
    model, *paths = arguments
    with held_back():
        recognizer = Recognizer(model, num_threads=values.num_threads)
    failed = 0
    for path in paths:
        try:
            samples = audio_files.read(path, recognizer.sample_rate, values.channel, app.tell)
        except UserError as error:
            app.tell(str(error))
            failed += 1
        else:
            _print(values, recognizer, path, "" if len(paths) == 1 else f"{path}\t", samples)
    if failed and len(paths) > 1:
        app.tell(f"{failed} of {len(paths)} files could not be recognised.")
    if failed:
        sys.exit(2)


def _print(
    values: flags.FlagValues, recognizer: Recognizer, path: str, name: str, samples: np.ndarray
) -> None:
    """Recognises a file and prints it, each line after its name."""
    if values.json:
        print(_json(path, recognizer, samples), flush=True)
    elif values.words:
        for word in recognizer.recognize(samples, recognizer.sample_rate).words:
            times = f"{word.start:.2f}\t{word.end:.2f}\t{word.confidence:.3f}"
            print(f"{name}{times}\t{word.text}", flush=True)
    elif values.stream:
        print(f"{name}{_streamed(recognizer, samples)}", flush=True)
    else:
        text = recognizer.transcribe(samples, recognizer.sample_rate)
        print(f"{name}{text}", flush=True)


def _json(path: str, recognizer: Recognizer, samples: np.ndarray) -> str:
    found = recognizer.recognize(samples, recognizer.sample_rate)
    words = [
        dataclasses.asdict(word)
        | {
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in found.words
    ]
    return json.dumps({"audio": path, "text": found.text, "words": words}, ensure_ascii=False)


def _streamed(recognizer: Recognizer, samples: np.ndarray) -> str:
    """The words of a file, shown while they come."""
    stream, shown = recognizer.stream(recognizer.sample_rate), ""
    step = max(1, int(_STEP_SECONDS * recognizer.sample_rate))
    for start in range(0, len(samples), step):
        partial = stream.feed(samples[start : start + step])
        if partial.text != shown:
            shown = partial.text
            seconds = min(start + step, len(samples)) / recognizer.sample_rate
            _show(shown, seconds)
    text = stream.finish().text
    if sys.stdout.isatty():
        print(_CLEAR, end="")
    return text


def _show(text: str, seconds: float) -> None:
    if sys.stdout.isatty():
        print(f"{_CLEAR}{text}", end="", flush=True)
    else:
        print(f"{seconds:.2f}\t{text}", flush=True)


COMMAND = app.Command(
    name="transcribe",
    usage="MODEL FILE... [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_transcribe,
)

if __name__ == "__main__":
    app.run(COMMAND)
