"""Where the time of an exported file goes.

    python benchmarks/file_profile.py MODEL.tflite --seconds=10

runs the file on one thread: whole utterances, or the steps of a stream (--signature=first_pass).
Linux's `perf` samples it, with the calls that led to each place, which tell how much of it is the
search, a loop; and without, for the share of each kind of kernel and the kernels that take most. A
kernel that is none of XNNPACK's is an operator that the delegate left to LiteRT's own.
"""

import collections
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter, SignatureRunner

from int4_conformer import interface

FLAGS = flags.FLAGS
flags.DEFINE_string("signature", interface.SERVING_DEFAULT, "What is run.")
flags.DEFINE_float("seconds", 10.0, "Audio of a call; a stream's step has a length of its own.")
flags.DEFINE_integer("calls", 20, "Calls that are timed, and sampled.")
flags.DEFINE_bool("sampled", False, "Only make the calls: what perf is to see.")

_PACKING = "weights packed at the first call"
# What a kernel's name says that it does, the first that fits.
_KINDS = {
    "pack_q|packw": _PACKING,
    "qd8.*gemm|qs8.*gemm|qp8.*gemm": "integer matrix products",
    "f32_i?gemm|f16_gemm": "float matrix products",
    "dwconv": "depthwise convolutions",
    "rminmax|f32_qs8|f32_qd8|pack_lh|vcvt": "activations to integers",
    "sigmoid|vtanh|vswish|velu": "sigmoids",
    "softmax|raddstoreexp|rmax": "softmax",
    "xnn_f32_(v|rsum|rdsum)|sqrdiff": "sums, products and means of elements",
    "memmove|memcpy|memset|transpose|_pad_|copy": "copies",
    "fft|rdft|cft|cdft": "Fourier transforms",
    "tflite::": "operators that XNNPACK left",
}


def main(argv: list[str]) -> None:
    if FLAGS.sampled:
        _seconds(argv[1], FLAGS.signature)
        return
    milliseconds = [1000 * seconds for seconds in _seconds(argv[1], FLAGS.signature)]
    print("| signature | median | shortest | search |\n|---|---|---|---|")
    print(
        f"| {FLAGS.signature} | {statistics.median(milliseconds):.1f} ms | "
        f"{min(milliseconds):.1f} ms | {100 * _search_share(argv[1]):.1f}% |"
    )
    samples = _sampled(argv[1])
    kinds = collections.Counter()
    for kernel, share in samples:
        kinds[_kind(kernel)] += share
    rest = sum(kinds.values()) - kinds[_PACKING]
    print(f"\n{kinds[_PACKING]:.0f}% of all samples are of {_PACKING}; of the rest:\n")
    print("| kind of kernel | share |\n|---|---|")
    for kind, share in kinds.most_common():
        if kind != _PACKING and share / rest > 0.005:
            print(f"| {kind} | {100 * share / rest:.1f}% |")
    print("\n| kernel | share |\n|---|---|")
    for kernel, share in samples[:15]:
        print(f"| {kernel} | {100 * share / rest:.1f}% |")


def _search_share(path: str) -> float:
    """Which part of the calls is in loops, once weights are packed.

    LiteRT's own profiler adds 5 us to each operator, of which a loop has many that take less.
    """
    shares = collections.Counter()
    # AMX kernels have large frames.
    record, report = ["--call-graph=dwarf,32768"], ["--children", "--no-inline", "-g", "none"]
    for share, _, _, symbol in _recorded(path, record, report):
        shares[symbol] += share
    calls = shares["tflite::Subgraph::Invoke"]
    return shares["tflite::ops::builtin::while_kernel::Eval"] / calls if calls else float("nan")


def _inputs(runner: SignatureRunner, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Noise, and a state of zeros."""
    inputs = {
        name: np.zeros(detail["shape"], detail["dtype"])
        for name, detail in runner.get_input_details().items()
    }
    shape = inputs[interface.PCM].shape
    if FLAGS.signature == interface.SERVING_DEFAULT:
        # Whole blocks of every chunk that is usual.
        shape = [int(16000 * FLAGS.seconds) // 10240 * 10240]
    return inputs | {interface.PCM: rng.normal(scale=0.1, size=shape).astype(np.float32)}


def _seconds(path: str, signature: str) -> list[float]:
    """How long each call takes, the first left out."""
    runner = Interpreter(path, num_threads=1).get_signature_runner(signature)
    rng, seconds = np.random.default_rng(0), []
    inputs = _inputs(runner, rng)
    for _ in range(FLAGS.calls + 1):
        inputs[interface.PCM] = _inputs(runner, rng)[interface.PCM]
        start = time.perf_counter()
        outputs = runner(**inputs)
        seconds.append(time.perf_counter() - start)
        inputs |= {name: outputs[name] for name in inputs if name in outputs}
    return seconds[1:]


def _sampled(path: str) -> list[tuple[str, float]]:
    """Kernels and the percentage of samples in each, most first."""
    # Only the runtime and what it calls; Python and NumPy's threads are not the file's.
    return [
        (symbol[:70], share)
        for share, library, symbol in _recorded(path, [], [])
        if "litert" in library or ("libc" in library and "mem" in symbol)
    ]


def _recorded(
    path: str, record_options: list[str], report_options: list[str]
) -> Iterator[tuple[Any, ...]]:
    """Rows of perf's report: percentages first, then library and symbol."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        again = [sys.executable, __file__, path, "--sampled", f"--signature={FLAGS.signature}"]
        again += [f"--seconds={FLAGS.seconds}", f"--calls={FLAGS.calls}"]
        record = ["perf", "record", "--freq=999", f"--output={data}", *record_options, *again]
        try:
            subprocess.run(record, check=True, capture_output=True)
        except FileNotFoundError:
            sys.exit("perf is not installed; on Debian it is in the package linux-perf.")
        report = ["perf", "report", f"--input={data}", "--sort=dso,symbol", "--field-separator=\t"]
        report += report_options
        text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            *shares, library, symbol = (
                part.strip() for part in line.split("\t") if part.strip("- ")
            )
            numbers = [float(share.strip("% ")) for share in shares]
            yield *numbers, library, re.sub(r"^\[.\] ", "", symbol)


def _kind(kernel: str) -> str:
    return next((kind for name, kind in _KINDS.items() if re.search(name, kernel)), "the rest")


if __name__ == "__main__":
    app.run(main)
