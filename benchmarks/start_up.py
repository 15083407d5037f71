"""What users wait for before anything runs: creating, tracing, compiling and exporting a model.

    python benchmarks/start_up.py

measures each preset with each recipe, cold: training and exporting in processes of their own, as
commands are. Times are wall / processor time, all threads together. The columns:

    import             TensorFlow and the package.
    create             The model with its weights.
    trace              The training step: loss, gradients, clipping and AdamW, on 4 utterances of
                       4 s and 20 labels. A cascade trains both passes.
    compile            By XLA: the first call of the traced step less the next.
    to the first step  From the start of the program to the end of that call.
    export             Writing and verifying the .tflite file.
    operations         Of the step's graph as it was traced, before anything is pruned, and of the
                       functions that it calls: each body once, however often it is called.
    of a block         Operations that a second block in the (first) encoder adds to one, its
                       gradients and its share of the optimizer included.

A column that takes longer than `--limit` is "over" it, and what would come after it stays empty.
"""

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", ["tiny", "conformer_s", "conformer_l", "cascaded_150m"], "Presets.")
flags.DEFINE_list("recipes", ["float", "w4a8"], "Recipes.")
flags.DEFINE_list("runs", ["train", "export", "count"], "Processes of each case.")
flags.DEFINE_integer("limit", 900, "Seconds of processor time that each column may take.")
flags.DEFINE_string("case", None, "Run, preset and recipe of this process; for the program itself.")

_BEGUN = time.perf_counter()
_COLUMNS = ("import", "create", "trace", "compile", "to the first step", "export")
_COLUMNS += ("operations", "of a block")
# What each run may find too long, in order.
_LIMITED = {
    "train": ("import", "create", "trace", "compile"),
    "export": ("import", "create", "export"),
    "count": ("of a block",),
}
_BATCH, _SECONDS, _LABELS = 4, 4, 20


def main(_: list[str]) -> None:
    if FLAGS.case:
        run, name, recipe = FLAGS.case.split("/")
        {"train": _train, "export": _export, "count": _count}[run](name, recipe)
        return
    print(f"| preset | recipe | {' | '.join(_COLUMNS)} |")
    print(f"|---|---|{'---|' * len(_COLUMNS)}")
    for name in FLAGS.presets:
        for recipe in FLAGS.recipes:
            found: dict[str, Any] = {}
            for run in FLAGS.runs:
                found = _measured(run, name, recipe) | found
            cells = " | ".join(_cell(found.get(column, "")) for column in _COLUMNS)
            print(f"| {name} | {recipe} | {cells} |", flush=True)


def _measured(run: str, name: str, recipe: str) -> dict[str, Any]:
    """What a process of its own reports, by column."""
    command = [sys.executable, __file__, f"--case={run}/{name}/{recipe}", f"--limit={FLAGS.limit}"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = {}
    for line in result.stdout.splitlines():
        if line.startswith("{"):
            found |= json.loads(line)
    if result.returncode:
        over = result.returncode == -signal.SIGPROF
        missing = next(column for column in _LIMITED[run] if column not in found)
        found[missing] = f"over {FLAGS.limit} s" if over else "failed"
    return found


def _cell(value: list[float] | int | str) -> str:
    if isinstance(value, list):
        return f"{value[0]:.1f} / {value[1]:.1f} s"
    return f"{value:,}" if isinstance(value, int) else value


def _report(column: str, value: list[float] | int) -> None:
    print(json.dumps({column: value}), flush=True)


@contextlib.contextmanager
def _timed(column: str) -> Iterator[list[float]]:
    """Reports how long it took, in a list that is right afterwards; over the limit a signal ends
    the process, whatever it is in."""
    signal.setitimer(signal.ITIMER_PROF, FLAGS.limit)
    seconds = [-time.perf_counter(), -time.process_time()]
    yield seconds
    seconds[:] = seconds[0] + time.perf_counter(), seconds[1] + time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 0)
    _report(column, seconds)


def _train(name: str, recipe: str) -> None:
    model = _created(name, recipe)
    step, batch = _step_of(model)
    with _timed("trace"):
        traced = step.get_concrete_function(batch)
    with _timed("first call") as first:
        float(step(batch))
    _report("to the first step", [time.perf_counter() - _BEGUN, time.process_time()])
    with _timed("later call") as later:
        float(step(batch))
    _report("compile", [a - b for a, b in zip(first, later, strict=True)])
    _report("operations", _operations(traced))


def _export(name: str, recipe: str) -> None:
    model = _created(name, recipe)
    from int4_conformer.export.recognizer_tflite import export_tflite
    from int4_conformer.text.spelling import Spelling
    from int4_conformer.text.vocabulary import BLANK, Vocabulary

    pieces = (BLANK, *(f"p{i}" for i in range(1, model.config.vocab_size)))
    with tempfile.TemporaryDirectory() as folder, _timed("export"):
        spelling = Spelling(vocabulary=Vocabulary(pieces=pieces))
        export_tflite(model, spelling, Path(folder) / "model.tflite")


def _count(name: str, recipe: str) -> None:
    counts = []
    with _timed("count"):
        for blocks in (1, 2):
            step, batch = _step_of(_new_model(name, recipe, blocks))
            counts.append(_operations(step.get_concrete_function(batch)))
    _report("of a block", counts[1] - counts[0])


def _created(name: str, recipe: str) -> Any:
    with _timed("import"):
        import int4_conformer.training.trainer  # noqa: F401
    with _timed("create"):
        return _new_model(name, recipe)


def _new_model(name: str, recipe: str, blocks: int | None = None) -> Any:
    """A preset's model, or one with so many blocks, and a single one in the second pass."""
    from int4_conformer.models.presets import preset
    from int4_conformer.models.transducer import Transducer

    config = preset(name, recipe=recipe)
    if blocks is not None:
        second = config.second_pass and dataclasses.replace(config.second_pass, blocks=1)
        encoder = dataclasses.replace(config.encoder, blocks=blocks)
        config = dataclasses.replace(config, encoder=encoder, second_pass=second)
    model = Transducer(config)
    model.build()
    return model


def _step_of(model: Any) -> tuple[Any, Any]:
    """The model's training step, and a batch for it."""
    import numpy as np
    import tensorflow as tf

    from int4_conformer.audio.augment import SpecAugmentConfig
    from int4_conformer.training.optimizer import make_optimizer
    from int4_conformer.training.training_config import TrainingConfig

    rng, samples = np.random.default_rng(0), _SECONDS * model.config.front_end.sample_rate
    labels = rng.integers(1, model.config.vocab_size, [_BATCH, _LABELS])
    batch = {
        "pcm": tf.constant(rng.normal(scale=0.1, size=[_BATCH, samples]), tf.float32),
        "pcm_length": tf.fill([_BATCH], samples),
        "labels": tf.constant(labels, tf.int32),
        "label_length": tf.fill([_BATCH], _LABELS),
    }
    model.compile(make_optimizer(TrainingConfig()), augment=SpecAugmentConfig())
    step = model.training_step
    return tf.function(lambda batch: step(batch, 0), autograph=False), batch


def _operations(traced: Any) -> int:
    graph = traced.graph.as_graph_def()
    return len(graph.node) + sum(len(body.node_def) for body in graph.library.function)


if __name__ == "__main__":
    app.run(main)
