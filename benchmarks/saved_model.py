"""A SavedModel on a server's CPU, 4 bits against float32, with random weights.

    python benchmarks/saved_model.py --presets=tiny,conformer_s,conformer_l

exports each preset with both recipes. A fresh process for each one loads it, tells what memory that
took, answers its warm-up requests as TF Serving would, and times its next calls; then both are
loaded into one process and answer utterances in turn, at each size of batch, so that the ratio
holds when the machine's speed drifts. The output bias keeps greedy search at one blank per frame,
as most frames of speech are.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import random_models
import tensorflow as tf
from absl import app, flags
from timing import milliseconds

from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.models.presets import preset
from int4_conformer.text.graphemes import Graphemes

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", ["tiny", "conformer_s", "conformer_l"], "Presets.")
flags.DEFINE_list("batches", ["1", "8", "32"], "Utterances at once.")
flags.DEFINE_float("seconds", 10.0, "Length of an utterance.")
flags.DEFINE_integer("rounds", 5, "Timed calls of each.")

_RECIPES = ("float", "w4a8")
# Load, memory, the first call behind the warm-up and a later one, with TensorFlow alone.
_FRESH = """
import json, resource, sys, time
sys.modules["int4_conformer"] = None
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

folder, seconds = sys.argv[1], float(sys.argv[2])

def memory():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS"))

before, start = memory(), time.perf_counter()
model = tf.saved_model.load(folder)
loaded = time.perf_counter() - start
after = memory()
serve = model.signatures["serving_default"]
start = time.perf_counter()
for record in tf.data.TFRecordDataset(folder + "/assets.extra/tf_serving_warmup_requests"):
    request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
    inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
    model.signatures[request.model_spec.signature_name](**inputs)
warmed = time.perf_counter() - start
pcm = np.random.default_rng(0).normal(scale=0.1, size=[1, int(16000 * seconds)])
pcm = tf.constant(pcm, tf.float32)
calls = []
for _ in range(12):
    start = time.perf_counter()
    serve(pcm=pcm, length=tf.constant([-1]))
    calls.append(time.perf_counter() - start)
print(json.dumps({"load": loaded, "memory": after - before, "warm": warmed,
                  "first": calls[0], "later": sorted(calls[1:])[5]}))
"""


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in FLAGS.presets:
            folders = {recipe: Path(folder) / f"{name}_{recipe}" for recipe in _RECIPES}
            print(f"\n### {name}\n")
            print("| | bytes | export | load | memory | warm-up | first call behind it | later |")
            print("|---|---|---|---|---|---|---|---|")
            sizes = {}
            for recipe, path in folders.items():
                sizes[recipe] = _row(name, recipe, path)
            print(f"\n{sizes['float'] / sizes['w4a8']:.2f}x smaller on disk.\n", flush=True)
            _print_speeds(folders)


def _row(name: str, recipe: str, path: Path) -> int:
    begun = time.perf_counter()
    _export(name, recipe, path)
    seconds = time.perf_counter() - begun
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    output = subprocess.run(
        [sys.executable, "-c", _FRESH, path, str(FLAGS.seconds)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(output.stdout.splitlines()[-1])
    print(
        f"| {recipe} | {size:,} | {seconds:.0f} s | {found['load']:.1f} s "
        f"| {found['memory']:.0f} MB | {found['warm']:.1f} s | {1e3 * found['first']:.0f} ms "
        f"({found['first'] / found['later']:.2f}x) | {1e3 * found['later']:.0f} ms |",
        flush=True,
    )
    return size


def _export(name: str, recipe: str, path: Path) -> None:
    tokenizer = Graphemes()
    config = preset(name, vocab_size=tokenizer.vocabulary.size, recipe=recipe)
    export_saved_model(random_models.transducer(config), tokenizer, path)


def _print_speeds(folders: dict[str, Path]) -> None:
    models = {recipe: tf.saved_model.load(str(path)) for recipe, path in folders.items()}
    print("| batch | float32 | w4a8 | audio a second, w4a8 | of float32's time |")
    print("|---|---|---|---|---|")
    for batch in map(int, FLAGS.batches):
        times = milliseconds(
            {recipe: _call(model, batch) for recipe, model in models.items()}, FLAGS.rounds
        )
        ours = times["w4a8"]
        print(
            f"| {batch} | {times['float']:.0f} ms | {ours:.0f} ms "
            f"| {1e3 * batch * FLAGS.seconds / ours:.0f} s | {ours / times['float']:.2f}x |",
            flush=True,
        )


def _call(model: Any, batch: int) -> Callable[[], object]:
    """Has a model recognise a batch."""
    shape = [batch, int(16000 * FLAGS.seconds)]
    pcm = tf.constant(np.random.default_rng(0).normal(scale=0.1, size=shape), tf.float32)
    length = tf.fill([batch], shape[1])
    return lambda: model.signatures["serving_default"](pcm=pcm, length=length)


if __name__ == "__main__":
    app.run(main)
