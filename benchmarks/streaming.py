"""Whether a long stream costs more per step than a short one, in time or in memory.

    python benchmarks/streaming.py build/cascade/w4a8.tflite --manifest=PATH/an4

feeds a file that `int4-conformer export` wrote the speech of a corpus, utterance behind utterance,
as a microphone would, on one thread: in streams of a second, and in one of ten minutes. Prints the
median time of a step in the streams of a second, in the first and in the last minute of the long
one, and the memory that the process holds after each.
"""

import statistics
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from int4_conformer.data.corpus import read_corpus
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.recognizer_stream import RecognizerStream

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", "dev", "Its split.")
flags.DEFINE_float(
    "step", 0.64, "Seconds of audio that a step feeds: whole segments of every pass."
)
flags.DEFINE_integer("minutes", 10, "Length of the long stream.")


def main(argv: list[str]) -> None:
    recognizer = Recognizer(argv[1])
    rate = recognizer.sample_rate
    utterances = [utterance.samples() for utterance in read_corpus(FLAGS.manifest, FLAGS.split)]
    speech = np.concatenate(utterances)
    speech = np.resize(speech, 60 * rate * FLAGS.minutes)
    seconds = [
        time for n in range(60) for time in _feed(recognizer.stream(), speech[n * rate :][:rate])
    ]
    rows = [("streams of 1 s", seconds, _resident())]
    stream, minute = recognizer.stream(), 60 * rate
    minutes = [
        (_feed(stream, speech[n * minute :][:minute]), _resident()) for n in range(FLAGS.minutes)
    ]
    rows += [
        ("minute 1 of a stream", *minutes[0]),
        (f"minute {FLAGS.minutes} of the same", *minutes[-1]),
    ]
    print("| | ms a step | longest | memory, MB |")
    print("|---|---|---|---|")
    for name, times, resident in rows:
        median, longest = 1000 * statistics.median(times), 1000 * max(times)
        print(f"| {name} | {median:.2f} | {longest:.2f} | {resident:.1f} |")
    words = len(stream.finish().text.split())
    print(f"\nSteps of {FLAGS.step} s; {words:,} words in {FLAGS.minutes} minutes.")


def _feed(stream: RecognizerStream, samples: np.ndarray) -> list[float]:
    """Seconds that each whole step takes."""
    times, step = [], int(FLAGS.step * 16000)
    for start in range(0, len(samples) - step + 1, step):
        begin = time.perf_counter()
        stream.feed(samples[start : start + step])
        times.append(time.perf_counter() - begin)
    return times


def _resident() -> float:
    """Memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    app.run(main)
