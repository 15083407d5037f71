"""Runs a .tflite file on several inputs, and keeps all that it gives.

    python run_files.py FOLDER

FOLDER holds model.tflite; job.json, {"xnnpack": whether XNNPACK's kernels compute it}; and
inputs.npz, whose arrays are named CALL/INPUT, as those of outputs.npz are CALL/OUTPUT. Imports
NumPy and LiteRT alone, so that it runs in an Arm root, too.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def main(folder: Path) -> None:
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if json.loads((folder / "job.json").read_text())["xnnpack"]:
        kernels = OpResolverType.BUILTIN
    interpreter = Interpreter(
        str(folder / "model.tflite"), num_threads=1, experimental_op_resolver_type=kernels
    )
    runner = interpreter.get_signature_runner("serving_default")
    inputs = dict(np.load(folder / "inputs.npz"))
    outputs = {}
    for call in sorted({key.partition("/")[0] for key in inputs}, key=int):
        given = {
            key.partition("/")[2]: value
            for key, value in inputs.items()
            if key.startswith(f"{call}/")
        }
        outputs |= {f"{call}/{name}": value for name, value in runner(**given).items()}
    np.savez(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
