"""What LiteRT's cache of packed weights saves at the start of a program.

    python benchmarks/weight_cache.py MODEL.tflite

opens a file by `CompiledModel`, as the Android kit does, each time in a process of its own: without
a cache, with one that it has to write, and with one that is there. Printed is the median of seconds
from the call to its return, and the size of the cache.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("runs", 7, "Processes of each kind.")

_OPEN = """
import sys, time
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.options import Options

options = Options.create()
options.cpu_options.num_threads = 1
options.cpu_options.xnnpack_weight_cache_path = sys.argv[2]
begun = time.perf_counter()
CompiledModel.from_file(sys.argv[1], options=options)
print(time.perf_counter() - begun)
"""


def main(arguments: list[str]) -> None:
    (model,) = arguments[1:]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "weights"
        without, written, read = [], [], []
        for _ in range(FLAGS.runs):
            cache.unlink(missing_ok=True)
            without.append(_seconds(model, ""))
            written.append(_seconds(model, cache))
            read.append(_seconds(model, cache))
        size = cache.stat().st_size
    print("| without a cache | writing it | reading it | its bytes |")
    print("|---|---|---|---|")
    medians = [f"{statistics.median(x):.2f} s" for x in (without, written, read)]
    print(f"| {' | '.join(medians)} | {size:,} |")


def _seconds(model: str, cache: str | Path) -> float:
    output = subprocess.run(
        [sys.executable, "-c", _OPEN, model, cache], check=True, capture_output=True, text=True
    ).stdout
    return float(output)


if __name__ == "__main__":
    app.run(main)
