"""Recordings of hours: time and memory by length, and the words of long recordings.

    python benchmarks/long_audio.py --folder=build/long --data=PATH

makes files of `tiny`, `conformer_s` and `conformer_l` with random weights, w4a8, that hear whole
utterances only, and such that hear streams (chunks of 320 ms, 2.56 s of left context). It joins the
recordings of librispeech_train_clean_5 to FLAC files of one hour and of three, and has
`int4-conformer transcribe FILE --json`, one process for each, recognise them on one thread. Printed
are the processor's seconds for a second of audio and the most memory that the process ever held
(VmHWM). What is in the folder already is used as it is.

    python benchmarks/long_audio.py --folder=build/long --calls

prints the most memory of a process by the length of a single call of those that hear whole
utterances, which is what `LONGEST_SECONDS` in lite/long_audio.py keeps small.

    python benchmarks/long_audio.py --folder=build/long --data=PATH --model=an4.tflite

counts the word errors of AN4's dev split, utterance by utterance, and joined in 18 orders to one
recording of an hour, as a stream and with parts of several lengths.
"""

import dataclasses
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from absl import app, flags

from int4_conformer.audio import audio_files
from int4_conformer.data.corpus import read_corpus
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.text.metrics import WordErrors, word_errors
from int4_conformer.text.normalize import normalize

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", None, "Folder for models and recordings.", required=True)
flags.DEFINE_string("data", None, "Folder of the corpora.")
flags.DEFINE_list("presets", ["tiny", "conformer_s", "conformer_l"], "Presets.")
flags.DEFINE_list("hours", ["1", "3"], "Lengths of the recordings.")
flags.DEFINE_bool("calls", False, "Measure single calls by their length.")
flags.DEFINE_list("seconds", ["20", "40", "60", "120"], "Lengths of those calls.")
flags.DEFINE_string("model", None, "A .tflite file that was trained on AN4.")
flags.DEFINE_list("parts", ["6", "10", "20", "30"], "Seconds of parts.")

_RATE = 16000
_ORDERS = 18
# Run what follows, and write down the most memory that the process has held.
_MEASURED = """
import atexit, sys
from pathlib import Path

def note(report=sys.argv.pop(1)):
    status = Path("/proc/self/status").read_text()
    Path(report).write_text(status.split("VmHWM:")[1].split()[0])

atexit.register(note)
"""
_TRANSCRIBE = "from int4_conformer.cli.main import main\nmain()"
_CALL = """
import numpy as np
from int4_conformer.lite.recognizer_file import RecognizerFile

file = RecognizerFile(sys.argv[1])
pcm = np.random.default_rng(0).normal(scale=0.1, size=int(16000 * float(sys.argv[2])))
file.run("serving_default")(pcm=np.float32(pcm[: len(pcm) // 640 * 640]))
"""


def main(_: list[str]) -> None:
    folder = Path(FLAGS.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if FLAGS.calls:
        _print_calls(folder)
    elif FLAGS.model is not None:
        _print_words(folder)
    else:
        _print_hours(folder)


def _print_hours(folder: Path) -> None:
    print("| model | hears | hours | real-time factor | memory, MB |")
    print("|---|---|---|---|---|")
    recordings = [(float(hours), _recording(folder, float(hours))) for hours in FLAGS.hours]
    for preset in FLAGS.presets:
        for streams in (False, True):
            model = _random(folder, preset, streams)
            for hours, recording in recordings:
                _, seconds, memory = _measured(
                    folder, _TRANSCRIBE, "transcribe", model, recording, "--json"
                )
                print(
                    f"| {preset} | {'streams' if streams else 'whole utterances'} | {hours:g} | "
                    f"{seconds / 3600 / hours:.4f} | {memory:.0f} |",
                    flush=True,
                )


def _print_calls(folder: Path) -> None:
    print("| seconds of a call |" + "".join(f" {preset}, MB |" for preset in FLAGS.presets))
    print("|---|" + "---|" * len(FLAGS.presets))
    models = [_random(folder, preset, False) for preset in FLAGS.presets]
    for seconds in FLAGS.seconds:
        memories = (_measured(folder, _CALL, model, seconds)[2] for model in models)
        print(f"| {seconds} |" + "".join(f" {memory:.0f} |" for memory in memories), flush=True)


def _print_words(folder: Path) -> None:
    recognizer = Recognizer(FLAGS.model)
    utterances = list(read_corpus(str(Path(FLAGS.data) / "an4"), "dev"))
    pcm = [utterance.samples() for utterance in utterances]
    said = [normalize(utterance.text) for utterance in utterances]
    print("| heard | WER | errors / words | parts | real-time factor | memory, MB |")
    print("|---|---|---|---|---|---|")
    alone = word_errors(said, [normalize(recognizer.transcribe(samples)) for samples in pcm])
    print(f"| utterance by utterance {_errors(alone)} | | | |")
    recording, reference = folder / "an4.flac", []
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(recording, "w", _RATE, 1) as file:
        for _ in range(_ORDERS):
            for place in rng.permutation(len(said)):
                file.write(pcm[place])
                reference.append(said[place])
            seconds = file.frames / _RATE
    ways = {f"parts of {part} s": [f"--part_seconds={part}"] for part in FLAGS.parts}
    if recognizer.hears_streams:
        ways = {"a stream": []} | ways
    for name, way in ways.items():
        printed, took, memory = _measured(
            folder, _TRANSCRIBE, "transcribe", FLAGS.model, recording, *way
        )
        errors = word_errors([" ".join(reference)], [normalize(printed.stdout)])
        told = [line for line in printed.stderr.splitlines() if "was cut into" in line]
        parts = told[0].split("was cut into ")[1].split(":")[0] if told else "none"
        print(
            f"| {seconds / 60:.0f} min, {name} {_errors(errors)} | {parts} | "
            f"{took / seconds:.4f} | {memory:.0f} |",
            flush=True,
        )


def _errors(errors: WordErrors) -> str:
    return f"| {100 * errors.wer:.2f}% | {round(errors.wer * errors.words)} / {errors.words} |"[:-2]


def _measured(
    folder: Path, program: str, *arguments: str | Path
) -> tuple[subprocess.CompletedProcess, float, float]:
    """What a program printed in a process of its own, the processor's seconds, and the MB held."""
    report = folder / "memory.txt"
    command = [sys.executable, "-c", _MEASURED + program, report, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return printed, seconds, int(report.read_text()) / 1000


def _recording(folder: Path, hours: float) -> Path:
    """Recordings of one speaker after the other, so many hours of them."""
    path, left = folder / f"{hours:g}_hours.flac", int(3600 * hours * _RATE)
    if not path.exists():
        speech = _speech()
        with soundfile.SoundFile(path, "w", _RATE, 1) as file:
            while left > 0:
                samples = next(speech)[:left]
                file.write(samples)
                left -= len(samples)
    return path


def _speech() -> Iterator[np.ndarray]:
    """The recordings of the corpus, over and over."""
    corpus = Path(FLAGS.data) / "librispeech_train_clean_5"
    lines = map(json.loads, (corpus / "manifest.jsonl").read_text().splitlines())
    paths = sorted(corpus / line["audio"] for line in lines)
    while True:
        yield from map(audio_files.read, paths)


def _random(folder: Path, name: str, streams: bool) -> Path:
    """A file of a preset with random weights."""
    path = folder / f"{name}{'_stream' if streams else ''}.tflite"
    if path.exists():
        return path
    # Only here: measuring needs no TensorFlow.
    import random_models

    from int4_conformer.models.presets import preset

    config = preset(name, recipe="w4a8")
    if streams:
        encoder = dataclasses.replace(config.encoder, chunk=8, left_context=64)
        config = dataclasses.replace(config, encoder=encoder)
    random_models.export(random_models.transducer(config), path)
    return path


if __name__ == "__main__":
    app.run(main)
