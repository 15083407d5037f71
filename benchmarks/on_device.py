"""Exported recognisers beside what else one could ship: size, memory, start and speed.

    pip install tf2onnx onnx onnxruntime
    python benchmarks/on_device.py --presets=conformer_s,conformer_l

makes of each preset, with random weights, files of whole utterances, and of streams in segments of
0.32 s and 0.64 s (chunks as long as a segment, 64 frames of left context; `cascaded_150m` as it is,
its first pass):

    float32    our file of a float model
    int8 PTQ   that file, quantized after training by ai-edge-quantizer (dynamic_wi8_afp32)
    int4 PTQ   the same with dynamic_wi4_afp32
    w4a8       our file of a model trained in integers
    w2a8       the same with weights of 2 bits
    ONNX int8  the bare encoder, from features to frames, without front end and search: made by
               tf2onnx, quantized by quantize_dynamic, run by ONNX Runtime

and runs each in a process of its own. The processes take turns, one call each, so that ratios hold
when the machine's speed drifts. Bytes are of the first case. "faster" is the median of the ratios
to float32 of the same round; "load" is from opening the file to the first result, of 1 s or of a
segment; "memory" is the most that the process ever held (VmHWM), Python and its libraries included.
What the folder has already is used as it is.
"""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from matplotlib import figure
from on_device_models import CASES, KINDS, ONNX, WHOLE, file_of

from int4_conformer.tflite.inspection import inspect_tflite

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", ["conformer_s", "conformer_l"], "Presets.")
flags.DEFINE_list("kinds", list(KINDS), "Kinds of files.")
flags.DEFINE_list("cases", list(CASES), "Whole utterances, and seconds of segments.")
flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads.")
flags.DEFINE_string("folder", "build/on_device", "Folder for the files.")
flags.DEFINE_string("chart", None, "PNG file to draw the last preset in, on one thread.")
flags.DEFINE_integer("runs", 15, "Timed utterances; of segments eight times as many.")


class _Worker:
    """A process that has opened a file."""

    def __init__(self, path: Path, case: str, threads: str):
        program = Path(__file__).with_name("on_device_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, program, path, case, threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.load = self._read()

    def ask(self, word: str) -> float:
        """What it answers to a line."""
        print(word, file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()

    def _read(self) -> float:
        return float(self._process.stdout.readline())


def main(_: list[str]) -> None:
    folder = Path(FLAGS.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for preset in FLAGS.presets:
        _print_bytes(folder, preset, FLAGS.cases[0])
        medians = {
            (threads, case): _print_times(folder, preset, case, threads)
            for threads in FLAGS.threads
            for case in FLAGS.cases
        }
    if FLAGS.chart:
        _draw(folder, preset, {case: medians["1", case] for case in FLAGS.cases})


def _print_bytes(folder: Path, preset: str, case: str) -> None:
    what = "whole utterances" if case == WHOLE else f"segments of {case} s"
    print(f"\n{preset}, {what}, bytes\n")
    print("| file | all | 2 bits | 4 bits | 8 bits | float32 | the rest |")
    print("|---|---|---|---|---|---|---|")
    for kind in FLAGS.kinds:
        path = file_of(folder, preset, case, kind)
        size = path.stat().st_size
        if kind == ONNX:
            print(f"| {kind} | {size:,} | | | | | |", flush=True)
            continue
        weights = dict.fromkeys(("int2", "int4", "int8", "float32"), 0)
        for total in inspect_tflite(path).totals:
            if total.use == "weights":
                weights[total.dtype] += total.nbytes
        columns = [*weights.values(), size - sum(weights.values())]
        print(f"| {kind} | {size:,} | {' | '.join(f'{x:,}' for x in columns)} |", flush=True)


def _print_times(folder: Path, preset: str, case: str, threads: str) -> dict[str, float]:
    """Milliseconds of each kind, too."""
    workers = {
        kind: _Worker(file_of(folder, preset, case, kind), case, threads)
        for kind in KINDS
        if kind in FLAGS.kinds
    }
    runs = FLAGS.runs * (1 if case == WHOLE else 8)
    rounds = [
        {kind: 1000 * worker.ask("run") for kind, worker in workers.items()}
        for _ in range(runs + 2)
    ][2:]
    what = "10 s" if case == WHOLE else f"a segment of {case} s"
    print(f"\n{preset}, {what}, {threads} thread{'s' if threads != '1' else ''}\n")
    print("| file | load | memory | median | 95% | faster |")
    print("|---|---|---|---|---|---|")
    medians = {}
    for kind, worker in workers.items():
        times = [found[kind] for found in rounds]
        medians[kind] = statistics.median(times)
        faster = ""
        if "float32" in workers:
            faster = f"{statistics.median(x['float32'] / x[kind] for x in rounds):.2f}x"
        print(
            f"| {kind} | {1000 * worker.load:.0f} ms | {worker.ask('memory'):.0f} MB | "
            f"{medians[kind]:.1f} ms | {_percentile(times):.1f} ms | {faster} |",
            flush=True,
        )
        worker.close()
    return medians


def _draw(folder: Path, preset: str, medians: dict[str, dict[str, float]]) -> None:
    """Bars of megabytes and milliseconds."""
    case = FLAGS.cases[0]
    megabytes = {k: file_of(folder, preset, case, k).stat().st_size / 1e6 for k in FLAGS.kinds}
    titles = {WHOLE: "10 s of audio, ms", "0.32": "0.32 s, ms", "0.64": "0.64 s of a stream, ms"}
    panels = {"file, MB": megabytes} | {titles[case]: medians[case] for case in medians}
    chart = figure.Figure(figsize=(3.2 * len(panels), 2.6), layout="constrained")
    axes = chart.subplots(1, len(panels), sharey=True)
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        names = [kind for kind in FLAGS.kinds if kind in values][::-1]
        colors = ["tab:blue" if kind in ("w4a8", "w2a8") else "tab:gray" for kind in names]
        bars = axis.barh(names, [values[kind] for kind in names], color=colors)
        axis.bar_label(bars, fmt="%.3g", padding=2)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.2)
    chart.suptitle(f"{preset}, one thread")
    chart.savefig(FLAGS.chart, dpi=110)


def _percentile(times: Sequence[float]) -> float:
    return float(np.percentile(times, 95))


if __name__ == "__main__":
    app.run(main)
