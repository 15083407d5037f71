"""Where the time of an exported file goes.

    python benchmarks/file_profile.py MODEL.tflite --seconds=10

runs the file on one thread: whole utterances, or the steps of a stream (--signature=first_pass).
LiteRT's profiler tells how much of it is the search, a loop. Then Linux's `perf` samples it, and
the share of each kind of kernel is printed, with the kernels that take most. A kernel that is
none of XNNPACK's is an operator that the delegate left to LiteRT's own.
"""

import collections
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter, SignatureRunner

from int4_conformer import interface
from int4_conformer.tflite.kernel_profile import profile

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
    """Which part of a call is in loops."""
    content = Path(path).read_bytes()
    runner = Interpreter(path).get_signature_runner(FLAGS.signature)
    inputs = _inputs(runner, np.random.default_rng(0))
    # The first run packs weights.
    shares = []
    for _ in range(2 + FLAGS.calls // 4):
        # A loop's time has its body's, so that only the subgraph that has it counts.
        took = next(
            x for x in profile(content, FLAGS.signature, inputs).microseconds.values() if x["WHILE"]
        )
        shares.append(took["WHILE"] / took.total())
    return statistics.median(shares)


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
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        again = [sys.executable, __file__, path, "--sampled", f"--signature={FLAGS.signature}"]
        again += [f"--seconds={FLAGS.seconds}", f"--calls={FLAGS.calls}"]
        record = ["perf", "record", "--freq=999", f"--output={data}", *again]
        try:
            subprocess.run(record, check=True, capture_output=True)
        except FileNotFoundError:
            sys.exit("perf is not installed; on Debian it is in the package linux-perf.")
        report = ["perf", "report", f"--input={data}", "--sort=dso,symbol", "--field-separator=\t"]
        text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    # Only the runtime and what it calls; Python and NumPy's threads are not the file's.
    return [
        (re.sub(r"^\[\.\] ", "", symbol.strip())[:70], float(share.strip("% ")))
        for share, library, symbol, *_ in rows
        if "litert" in library or ("libc" in library and "mem" in symbol)
    ]


def _kind(kernel: str) -> str:
    return next((kind for name, kind in _KINDS.items() if re.search(name, kernel)), "the rest")


if __name__ == "__main__":
    app.run(main)
