"""How much audio a training takes in: its steps, its input, and how soon it starts.

    python benchmarks/throughput.py --mode=steps --presets=tiny
    python benchmarks/throughput.py --mode=input --manifest=PATH/an4/manifest.jsonl
    python benchmarks/throughput.py --mode=augmentation --manifest=PATH/an4/manifest.jsonl
    python benchmarks/throughput.py --mode=start --manifest=PATH/an4/manifest.jsonl

`steps` has whole training steps of presets, `input` the batches that a training would hear, from
memory, disk, files, shards and data workers, `augmentation` what each effect adds to that, and
`start` the time to the first batch and the memory of a corpus of 100 hours, which repeats the one
that is given, against the one itself, TensorFlow and all; what a step then takes is the same.
Beside the clock's hours of audio an hour there are those of the processors' time, which other work
on a machine hardly touches.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags
from step_variants import VARIANTS, training_step

from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.recordings import Recordings
from int4_conformer.data.service.batch_client import BatchClient
from int4_conformer.data.service.batch_worker import BatchWorker, register
from int4_conformer.data.service.dispatcher import Dispatcher
from int4_conformer.data.shards.preparation import Preparation
from int4_conformer.data.shards.prepare_config import PrepareConfig
from int4_conformer.data.training_audio import training_audio
from int4_conformer.text.graphemes import Graphemes

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "mode", "input", ["steps", "input", "augmentation", "start", "first_batch"], "What to measure."
)
flags.DEFINE_list("presets", ["tiny", "conformer_s", "conformer_m"], "Of `steps`.")
flags.DEFINE_list("variants", ["float32", "fake quant", "w4a8", "w4a8/bfloat16"], "Of `steps`.")
flags.DEFINE_integer("rows", 8, "Utterances of a batch of `steps`.")
flags.DEFINE_integer("seconds", 10, "Length of each.")
flags.DEFINE_boolean("xla", False, "Whether XLA compiles the steps.")
flags.DEFINE_integer("count", 3, "Steps that are timed.")
flags.DEFINE_string("manifest", None, "Corpus of the other modes.")
flags.DEFINE_float("minutes", 20.0, "Audio that is drawn, of each kind of input.")
flags.DEFINE_float("hours", 100.0, "Of the large corpus of `start`.")

flags.DEFINE_string("folder", "", "Of caches, for `first_batch`.")

_BATCH_SECONDS = 60.0
_EFFECTS = {
    "nothing": {},
    "speed": {"speed_perturbation": "0.9,1.1"},
    "pauses": {"pause_seconds": 2.0, "pause_probability": 1.0},
    "volume": {"volume_db": 6.0},
    "noise, synthetic": {"noise": "synthetic", "noise_probability": 1.0},
    "rooms, synthetic": {"rooms": "synthetic", "room_probability": 1.0},
    "low pass": {"low_pass_probability": 1.0},
    "clipping": {"clipping_probability": 1.0},
    **{
        f"codec {name}": {"codecs": name, "codec_probability": 1.0}
        for name in ("telephone", "mulaw", "vorbis", "opus", "mp3")
    },
}


def main(_: list[str]) -> None:
    modes = {
        "steps": _steps,
        "input": _inputs,
        "augmentation": _augmentation,
        "start": _start,
        # In a process of its own, of `start`.
        "first_batch": _first_batch,
    }
    modes[FLAGS.mode]()


def _steps() -> None:
    print("| preset | variant | audio / clock | audio / processors | s a step |\n|" + "---|" * 5)
    for name in FLAGS.presets:
        for variant in FLAGS.variants:
            variant = variant.replace("/", ", ")
            assert variant in VARIANTS
            step, _ = training_step(
                name, variant, rows=FLAGS.rows, seconds=FLAGS.seconds, xla=FLAGS.xla
            )
            step()
            clock, processors = _timed(lambda step=step: [step() for _ in range(FLAGS.count)])
            audio = FLAGS.rows * FLAGS.seconds * FLAGS.count
            print(
                f"| {name} | {variant} | {audio / clock:.1f}x | {audio / processors:.1f}x "
                f"| {clock / FLAGS.count:.2f} |",
                flush=True,
            )


def _inputs() -> None:
    print("| input | first time | again |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        corpus = _corpus(FLAGS.manifest)
        for cache in ("memory", "disk", "none"):
            _show(cache, _pipeline(corpus, cache, folder))
        shards = Path(folder) / "shards"
        for encoding in ("flac", "pcm"):
            config = PrepareConfig(encoding=encoding)
            Preparation(corpus, shards / encoding, config).run(CorpusReport("skip"))
            prepared = _corpus(shards / encoding)
            _show(f"prepared, {encoding}", _pipeline(prepared, "auto", folder))
        with _served(_pipeline(corpus, "none", folder)) as served:
            _show("a data worker that decodes", served)


def _augmentation() -> None:
    corpus = _corpus(FLAGS.manifest)
    plain = None
    # What is slow the first time is no effect's.
    _drawn(_pipeline(corpus, "memory", ""))
    print("| effect, on all | ms of a processor a second of audio |\n|---|---|")
    for name, settings in _EFFECTS.items():
        pipeline = _pipeline(corpus, "memory", "", **settings)
        audio, (_, processors) = _drawn(pipeline)
        cost = 1000 * processors / audio
        plain = cost if plain is None else plain
        print(f"| {name} | {cost - plain * bool(settings):.2f} |", flush=True)


def _start() -> None:
    corpus = Path(FLAGS.manifest)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    lines = [line for line in lines if line.get("split", "train") == "train"]
    seconds = sum(line["duration"] for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "manifest.jsonl"
        times = round(3600 * FLAGS.hours / seconds)
        with large.open("w") as file:
            for line in lines:
                line["audio"] = str(corpus.parent.absolute() / line["audio"])
                file.write((json.dumps(line) + "\n") * times)
        print("| corpus | first batch after | of processors | most memory |\n|---|---|---|---|")
        for path, hours in ((corpus, seconds / 3600), (large, seconds * times / 3600)):
            command = [
                *(sys.executable, __file__, "--mode=first_batch", f"--manifest={path}"),
                f"--folder={folder}",
            ]
            clock, processors, memory = _ran(command)
            print(
                f"| {hours:.1f} h | {clock:.0f} s | {processors:.0f} s | {memory:.2f} GB |",
                flush=True,
            )


def _first_batch() -> None:
    corpus = _corpus(FLAGS.manifest)
    next(iter(_pipeline(corpus, "auto", FLAGS.folder).dataset()))


def _ran(command: Sequence[str]) -> tuple[float, float, float]:
    """Seconds by the clock and of processors, and gigabytes, of a program."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    clock = time.monotonic() - begun
    return clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def _corpus(path: str | os.PathLike) -> Any:
    return normalized(read_corpus(path, "train"), CorpusReport("skip"))


def _pipeline(corpus: Any, cache: str, folder: str, **settings: Any) -> InputPipeline:
    recordings: Recordings = training_audio(
        corpus, CorpusReport("skip"), cache=cache, folder=f"{folder}/cache"
    )
    tokenizer = Graphemes.from_texts([utterance.text for utterance in corpus])
    config = InputConfig(cache=cache, **settings)
    buckets = make_buckets(
        recordings, tokenizer, count=2, seconds_per_batch=_BATCH_SECONDS, augmentation=config
    )
    return InputPipeline(recordings, tokenizer, buckets, config)


@contextlib.contextmanager
def _served(pipeline: InputPipeline) -> Iterator[InputPipeline]:
    """A pipeline whose batches come through a worker, in a thread of this process."""
    settings = {"fingerprint": pipeline.fingerprint, "corpus": {"manifest": ""}}
    with Dispatcher("127.0.0.1", 0) as dispatcher:
        threading.Thread(target=dispatcher.serve_forever, daemon=True).start()
        with BatchWorker("127.0.0.1", 0, lambda _: pipeline) as worker:
            threading.Thread(target=worker.serve_forever, daemon=True).start()
            with register(("127.0.0.1", dispatcher.port), worker.port):
                corpus = _corpus(FLAGS.manifest)
                client = _pipeline(corpus, "none", "")
                client.made_by(BatchClient(("127.0.0.1", dispatcher.port), settings))
                yield client
            worker.shutdown()
        dispatcher.shutdown()


def _show(name: str, pipeline: InputPipeline) -> None:
    cells = []
    for _ in range(2):
        audio, (clock, processors) = _drawn(pipeline)
        cells.append(f"{audio / clock:,.0f}x, {audio / processors:,.0f}x")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _drawn(pipeline: InputPipeline) -> tuple[float, tuple[float, float]]:
    """Seconds of audio, and what it took to draw them."""
    audio = 0.0

    def draw() -> None:
        nonlocal audio
        for batch in pipeline.dataset():
            audio += float(batch["pcm_length"].numpy().sum()) / 16000
            if audio >= 60 * FLAGS.minutes:
                return

    times = _timed(draw)
    return audio, times


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process on processors."""
    clock, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    run()
    now = resource.getrusage(resource.RUSAGE_SELF)
    processors = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return time.monotonic() - clock, processors


if __name__ == "__main__":
    app.run(main)
